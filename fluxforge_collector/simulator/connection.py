"""One websocket connection of the simulated exchange: an ordered way out, pings, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque

from aiohttp import WSCloseCode, WSMessage, web

from fluxforge_collector.simulator.wire import Frame, Topic, Wire

_MAX_QUEUED_BYTES = 64 * 2**20
_POLL_S = 0.02


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
        self._queue: deque[str | bytes | float] = deque()
        self._numbered = 0
        self._hush: str | None = None
        self._hushed_until = 0.0
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._settled: dict[bytes, asyncio.Event] = {}
        self._pings = 0
        self._is_released = False

    @property
    def address(self) -> str:
        """Host, port and path that the client has dialled."""
        return self._request.rel_url.raw_path.strip("/")

    def put(self, text: str) -> None:
        """Queue one text frame."""
        self._queue.append(text)
        self._queued_bytes += len(text)
        self._wake.set()

    def reply(self, text: str) -> None:
        """Queue a control frame; it is numbered like any other, except for errors."""
        counter = self.wire.counter
        if counter is not None and counter in text:
            text = text.replace(counter, f"{counter.partition(':')[0]}:{self._numbered}", 1)
            self._numbered += 1
        self.put(text)

    def number(self, frame: Frame) -> Frame:
        """The frame with this connection's count of messages, where the venue has one."""
        counter = self.wire.counter
        if counter is None:
            return frame
        number = self._numbered
        self._numbered += 1
        text = frame.text.replace(counter, f"{counter.partition(':')[0]}:{number}", 1)
        if frame.sequence is not None or frame.parts:
            return frame._replace(text=text)
        return frame._replace(text=text, sequence=number, previous=number - 1)

    def skip(self, count: int) -> None:
        """Let the count of messages jump."""
        self._numbered += count

    def wait(self, seconds: float) -> None:
        """Hold back what is queued after this."""
        self._queue.append(seconds)
        self._wake.set()

    def hush(self, kind: str, seconds: float) -> None:
        """Send no data from now on: `silence`, `mute` or `half_open`; 0 seconds is for ever."""
        self._hush = kind
        self._hushed_until = time.monotonic() + (seconds or math.inf)
        self._let_go()

    @property
    def hushed(self) -> str | None:
        """Which silence lies on this connection now, if any."""
        if self._hush is not None and time.monotonic() >= self._hushed_until:
            self._hush = None
        return self._hush

    @property
    def is_answering(self) -> bool:
        """Whether pings and requests are answered."""
        return self.hushed in {None, "silence"}

    async def until_read(self) -> None:
        """Wait while a half-open connection reads nothing."""
        while self.hushed == "half_open" and self._is_open():  # noqa: ASYNC110 - clock and transport are no events
            await asyncio.sleep(_POLL_S)

    async def settle(self) -> None:
        """Wait until the client has taken everything queued so far: its pong comes after them. Returns if it ends."""
        if self._is_released or self.hushed:
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
        """Send what is queued until released; the venue's own pings in between."""
        with contextlib.suppress(ConnectionError):
            while not self._is_released:
                await self._wait()
                while self._queue and not self._is_released:
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
        """Let everyone go who waits for this connection's client, and send nothing more."""
        self._is_released = True
        self._wake.set()
        self._let_go()

    def _is_open(self) -> bool:
        return self._request.transport is not None and not self._request.transport.is_closing()

    def _let_go(self) -> None:
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
            if self.is_answering:
                await self._ws.ping(b"alive")

    async def _send(self, item: str | bytes | float) -> None:
        if isinstance(item, float | int):
            await asyncio.sleep(item)
            return
        if isinstance(item, bytes):
            await self._ws.ping(item)
            return
        self._queued_bytes -= len(item)
        await self._ws.send_str(item)
        self.sent += 1
