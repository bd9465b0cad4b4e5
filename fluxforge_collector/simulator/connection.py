"""One websocket connection of the simulated exchange: an ordered way out, pings, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from aiohttp import WSCloseCode, WSMessage, web

from fluxforge_collector.simulator.wire import Topic, Wire

_MAX_QUEUED_BYTES = 64 * 2**20


class Connection:
    """What is subscribed on one socket, and the frames on their way to it.

    A client that does not read is dropped with close code 1008 once 64 MiB wait for it, as real venues do.
    """

    def __init__(self, ws: web.WebSocketResponse, request: web.Request, wire: Wire, ordinal: int) -> None:
        self.wire = wire
        self.ordinal = ordinal
        self.topics: set[Topic] = set()
        self.opening: set[Topic] = set()
        self.sent = 0
        self._ws = ws
        self._request = request
        self._queue: deque[str | bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._settled: dict[bytes, asyncio.Event] = {}
        self._pings = 0
        self._is_released = False

    def put(self, text: str) -> None:
        """Queue one text frame."""
        self._queue.append(text)
        self._queued_bytes += len(text)
        self._wake.set()

    async def settle(self) -> None:
        """Wait until the client has taken everything queued so far: its pong comes after them. Returns if it ends."""
        if self._is_released:
            return
        self._pings += 1
        token = b"settle %d" % self._pings
        self._settled[token] = event = asyncio.Event()
        self._queue.append(token)
        self._wake.set()
        await event.wait()

    def pong(self, message: WSMessage) -> None:
        """Take the client's answer to a ping."""
        event = self._settled.pop(bytes(message.data), None)
        if event is not None:
            event.set()

    async def send_queued(self) -> None:
        """Send what is queued, for ever; the venue's own pings in between."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self._wait()
                while self._queue:
                    await self._send(self._queue.popleft())
                    if self._queued_bytes > _MAX_QUEUED_BYTES:
                        await self.close(WSCloseCode.POLICY_VIOLATION)
                        return

    async def close(self, code: int) -> None:
        """Close with a code."""
        await self._ws.close(code=code, message=b"bye")

    def abort(self) -> None:
        """Break the connection without a word."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def release(self) -> None:
        """Let everyone go who waits for this connection's client."""
        self._is_released = True
        for event in self._settled.values():
            event.set()

    async def _wait(self) -> None:
        if self._queue:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(self.wire.ping_s):
                await self._wake.wait()
        except TimeoutError:
            await self._ws.ping(b"alive")

    async def _send(self, item: str | bytes) -> None:
        if isinstance(item, bytes):
            await self._ws.ping(item)
            return
        self._queued_bytes -= len(item)
        await self._ws.send_str(item)
        self.sent += 1
