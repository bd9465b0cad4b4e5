"""A feed: one connection after another that brings its share of Coinbase's products. A thin shell around sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from fluxforge_collector.config.sources import Coinbase
from fluxforge_collector.exchanges.coinbase.mapping import EXCHANGE
from fluxforge_collector.exchanges.coinbase.messages import subscription
from fluxforge_collector.exchanges.coinbase.products import Product
from fluxforge_collector.exchanges.coinbase.recorder import CHANNELS, Break, CoinbaseRecorder, Session
from fluxforge_collector.exchanges.frames import Frames
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.pace import Pace
from fluxforge_collector.exchanges.watchdog import Watchdog
from fluxforge_collector.reconnect import Backoff, asked_wait_s
from fluxforge_collector.records import GapReason

log = structlog.get_logger()

URL = "wss://advanced-trade-ws.coinbase.com"
CHANNELS_OPENED = 1 + len(CHANNELS)
"""Messages that open a connection: heartbeats, which keep it, and one for each channel."""

_CONNECT_S = 10.0
_LISTING_S = 600.0  # in which all feeds, one after the other, may ask in vain what is listed
_LARGEST_FRAME = 64 << 20  # the book of BTC-USD alone is 5 MB
_CLOSING = aiohttp.ClientWSTimeout(ws_close=0.5)

_PRODUCT = re.compile(r"[A-Z0-9]+-[A-Z0-9]+")

Socket = aiohttp.ClientWebSocketResponse[bool]
StillListed = Callable[[list[Stream]], Awaitable[list[Stream]]]


@dataclass(frozen=True)
class Access:
    """How all feeds together reach Coinbase: `dials` paces connections, `messages` what is sent on them.

    `sign` makes a token for the next message, where there is a key; `frames` records what goes over the wires, where
    that is asked for.
    """

    http: aiohttp.ClientSession
    url: str
    dials: Pace
    messages: Pace
    sign: Callable[[], str] | None
    frames: Frames | None = None


class Feed:
    """Keeps `streams` flowing until cancelled, or until none of them can be had any more; `products` by symbol.

    `still_listed` tells, after a connection that brought nothing or was refused, which streams there still are, and
    reports the others; `refuse` is told of what Coinbase refuses by name.
    """

    def __init__(
        self,
        access: Access,
        recorder: CoinbaseRecorder,
        streams: list[Stream],
        products: Mapping[str, Product],
        *,
        settings: Coinbase,
        still_listed: StillListed,
        refuse: Callable[[str], None],
    ) -> None:
        self._access = access
        self._recorder = recorder
        self._streams = streams
        self._products = products
        self._settings = settings
        self._still_listed = still_listed
        self._refuse = refuse
        self._watchdog = Watchdog(recorder, settings)
        self._log = log.bind(exchange=EXCHANGE)

    async def run(self) -> None:
        """Connect again whenever a connection ends."""
        backoff, loop = Backoff(), asyncio.get_running_loop()
        try:
            while self._streams:
                await self._access.dials.slot()
                began = loop.time()
                broken, asked_s = await self._connect()
                delay_s = backoff.next_delay_s(healthy_s=loop.time() - began, retry_after_s=asked_s)
                self._recorder.mark_watched(delay_s + _LISTING_S)
                self._log.warning(
                    "reconnecting", symbols=len(self._streams), why=broken.detail[:200], in_s=round(delay_s, 2)
                )
                if broken.reason in {GapReason.STALE, GapReason.BAD_FRAME}:
                    await self._drop_lost(broken)
                await asyncio.sleep(delay_s)
        finally:
            self._recorder.stop()

    async def _drop_lost(self, broken: Break) -> None:
        """Ask no longer for products that are not listed any more, or that an error frame names."""
        named = set(_PRODUCT.findall(broken.detail)) if broken.is_refusal else set()
        for symbol in {stream.symbol for stream in self._streams}:
            if self._products[symbol].asked_id in named:
                self._refuse(f"coinbase refuses {symbol}: {broken.detail[:200]}; remove it from coinbase.symbols")
        left = [stream for stream in self._streams if self._products[stream.symbol].asked_id not in named]
        listed = await self._still_listed(left)
        for stream in self._streams:
            if stream not in listed:
                self._recorder.forget(stream)
        self._streams = listed

    async def _connect(self) -> tuple[Break, float]:
        """One connection from dialling to its end. Returns: why it ended, and how long to stay away in seconds."""
        session = self._recorder.open(self._access.url, self._streams)
        asked_s = 0.0
        try:
            async with asyncio.timeout(_CONNECT_S):
                socket = await self._access.http.ws_connect(
                    self._access.url, max_msg_size=_LARGEST_FRAME, compress=15, timeout=_CLOSING, decode_text=False
                )
            try:
                self._recorder.connected(session.connection)
                if self._access.frames is not None:
                    self._access.frames.opened(session.connection)
                broken = await self._talk(socket, session)
            finally:
                await socket.close()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            broken = Break(GapReason.DISCONNECT, f"{type(error).__name__}: {error}")
            asked_s = asked_wait_s(error.headers) if isinstance(error, aiohttp.WSServerHandshakeError) else 0.0
        self._recorder.lose(session.connection, broken.reason, broken.detail)
        if self._access.frames is not None:
            self._access.frames.failed(session.connection, broken.detail)
        return broken, asked_s

    async def _talk(self, socket: Socket, session: Session) -> Break:
        """Read a connection, and tend it; whichever ends first says why."""
        tasks = {
            asyncio.create_task(self._read(socket, session)),
            asyncio.create_task(self._tend(socket, session)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            broken = next(iter(done)).result()
            self._recorder.lose(session.connection, broken.reason, broken.detail)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return broken

    async def _read(self, socket: Socket, session: Session) -> Break:
        take: Any = self._recorder.receive
        frames = self._access.frames
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT or message.type is aiohttp.WSMsgType.BINARY:
                if frames is not None:
                    frames.received(session.connection, message.data)
                broken: Break | None = take(session, message.data)
                if broken is not None:
                    return broken
            elif message.type is aiohttp.WSMsgType.ERROR:
                return Break(GapReason.DISCONNECT, f"{type(message.data).__name__}: {message.data}")
            else:
                if frames is not None:
                    frames.closed(session.connection, socket.close_code)
                return Break(GapReason.DISCONNECT, f"closed by the exchange, code {socket.close_code}")

    async def _tend(self, socket: Socket, session: Session) -> Break:
        """Subscribe, then watch what the connection brings."""
        for channel, products in [("heartbeats", []), *self._subscriptions()]:
            await self._access.messages.slot()
            token = self._access.sign() if self._access.sign else None
            text = subscription(channel, products, token)
            if self._access.frames is not None:
                self._access.frames.sent(session.connection, text)
            await socket.send_str(text)
        while True:
            await asyncio.sleep(self._watchdog.interval_s)
            self._recorder.mark_watched()
            why = self._watchdog.silence(session.connection) or self._why_late(session)
            if why is not None:
                return Break(GapReason.STALE, why)
            for stream in self._watchdog.undelivered():
                self._log.error("asked and not delivered", channel=stream.channel, symbol=stream.symbol)

    def _subscriptions(self) -> list[tuple[str, list[str]]]:
        """Coinbase's channels and the products to ask for on each."""
        wanted = {
            name: [self._products[stream.symbol].asked_id for stream in self._streams if stream.channel is channel]
            for channel, name in CHANNELS.items()
        }
        return [(channel, products) for channel, products in wanted.items() if products]

    def _why_late(self, session: Session) -> str | None:
        """Why a connection that stands long enough has not begun."""
        if self._recorder.age_s(session.connection) < self._settings.snapshot_seconds:
            return None
        missing = self._recorder.missing_books(session)
        return f"no snapshot of {', '.join(missing[:5])}" if missing else None
