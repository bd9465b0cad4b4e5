"""Playback as a feed: recorded frames, verbatim and in their order, to clients that have subscribed to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator.binance import BINANCE, BINANCEUS, depth, exchange_info
from fluxforge_collector.simulator.book import Book
from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.delivery import Delivery
from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.listing import Listing
from fluxforge_collector.simulator.options import SimulatorOptions
from fluxforge_collector.simulator.recording import (
    DIGITS,
    RecordedFrame,
    Recording,
    book_of,
    describe,
    frames_of,
    scan,
    units,
)
from fluxforge_collector.simulator.wire import Day, Frame, Moment, Topic, Wire, quote_of

_POLL_S = 0.02
_YIELD_EVERY = 64
_NO_DAY = Day(0, 0, 0, 0, 0, 0, 0)


class PlaybackFeed:
    """Recordings, when they begin to play, and how far they are.

    Play begins once every recorded market's depth and trades are subscribed, its depth snapshot has been fetched, and
    nothing new was asked for `quiet_s`; or after `patience_s` of quiet with whatever is subscribed; or when told. Until
    then a depth request gets the recorded snapshot verbatim; later ones get the book rebuilt up to the frame sent last.
    After the end the sockets stay open.
    """

    def __init__(self, options: SimulatorOptions, delivery: Delivery) -> None:
        self.wires: list[Wire] = [BINANCE, BINANCEUS]
        self.is_finished = False
        self.missed: dict[str, int] = {}
        self._options = options
        self._delivery = delivery
        self._recording: Recording = scan(options.captures)
        self._books = {market: book_of(text) for market, text in self._recording.snapshots.items()}
        self._fetched: set[str] = set()
        self._asked_at = time.monotonic()
        self._is_playing = False
        self._sent = 0
        self.current_us = self._recording.first_us

    def markets(self, wire: Wire) -> dict[str, Listing]:
        """The recorded markets."""
        del wire
        return self._recording.listings

    def rest(self, wire: Wire, path: str, query: Mapping[str, str]) -> Any:
        """Market list, depth snapshot, clock."""
        self._asked_at = time.monotonic()
        if path.endswith("/exchangeInfo"):
            listings = list(self._recording.listings.values()) if path.startswith("/api/") else []
            return exchange_info(listings, self.current_us)
        if path != "/api/v3/depth":
            return wire.rest(path, query, {}, self.current_us)
        market = query.get("symbol", "")
        if market not in self._books:
            return None
        self._fetched.add(market)
        if not self._is_playing:
            return self._recording.snapshots[market].encode()
        return depth(self._moment(market), int(query.get("limit", "100")))

    def begin(self, connection: Connection, topics: list[Topic]) -> None:
        """Topics were subscribed."""
        connection.topics.update(topics)
        self._asked_at = time.monotonic()

    def disturb(self, fault: Fault) -> int:
        """Raises: ConfigError: what is recorded is played as it is."""
        raise ConfigError(f"a recording has no {fault.kind}", "use a fault of frames, connections or requests")

    def request_start(self) -> None:
        """Begin without waiting for subscriptions."""
        self._is_playing = True

    async def run(self) -> None:
        """Wait for the clients, play to the end, then stay."""
        while not self._is_playing:
            self._is_playing = self._is_awaited()
            await asyncio.sleep(_POLL_S)
        started = time.monotonic()
        for recorded in frames_of(self._recording):
            await self._pace(recorded, started)
            self._play(recorded)
        await self._settle()
        self.is_finished = True
        await asyncio.Event().wait()

    def _is_awaited(self) -> bool:
        topics = {topic for connection in self._delivery.connections for topic in connection.topics}
        quiet_s = time.monotonic() - self._asked_at
        if not topics:
            return False
        if quiet_s >= self._options.patience_s:
            return True
        has_depth = {topic.market for topic in topics if topic.channel.startswith("depth")}
        has_trades = {topic.market for topic in topics if topic.channel == "trade"}
        wanted = set(self._recording.listings)
        is_complete = has_depth >= wanted and has_trades >= wanted and self._fetched >= wanted
        return is_complete and quiet_s >= self._options.quiet_s

    async def _pace(self, recorded: RecordedFrame, started: float) -> None:
        speed = self._options.speed
        if speed == "max":
            if self._sent >= self._options.in_flight:
                await self._settle()
            return
        wait_s = (recorded.recorded_us - self._recording.first_us) / 1e6 / speed - (time.monotonic() - started)
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
        elif self._sent % _YIELD_EVERY == 0:
            await asyncio.sleep(0)

    async def _settle(self) -> None:
        """Wait until the clients have taken all that was sent, and until there is one."""
        listening = [c for c in self._delivery.connections if c.topics]
        while not listening:
            await asyncio.sleep(_POLL_S)
            listening = [c for c in self._delivery.connections if c.topics]
        for connection in listening:
            await connection.settle()
        self._sent = 0

    def _play(self, recorded: RecordedFrame) -> None:
        topic = recorded.topic
        listening = [c for c in self._delivery.connections if topic in c.topics]
        if not listening and not topic.channel.startswith("depth"):
            return
        frame = describe(recorded, self._recording.listings[topic.market].symbol)
        if topic.market in self._books and frame.channel == "orderbook":
            frame = self._apply(frame, topic.market)
        self.current_us = recorded.recorded_us
        if listening:
            self._sent += 1
            self._delivery.send(listening[0].wire.exchange, frame, listening, recorded.recorded_us)

    def _apply(self, frame: Frame, market: str) -> Frame:
        """Bring the book up to a depth frame; one older than the snapshot changes nothing, and clients skip it."""
        book = self._books[market]
        if frame.sequence is None or frame.sequence <= book.update_id:
            return frame._replace(kind="superseded")
        body = orjson.loads(frame.text)
        for price, size in body["b"]:
            book.bids.set(units(price), units(size))
        for price, size in body["a"]:
            book.asks.set(units(price), units(size))
        book.update_id = frame.sequence
        quote = quote_of(_wire_listing(self._recording.listings[market]), book.best())
        return frame._replace(quote=quote, digest=book.digest())

    def _moment(self, market: str) -> Moment:
        book: Book = self._books[market]
        return Moment(_wire_listing(self._recording.listings[market]), book, self.current_us, [], None, _NO_DAY)


def _wire_listing(listing: Listing) -> Listing:
    """The listing with as many decimals as the recording writes."""
    return listing._replace(price_digits=DIGITS, size_digits=DIGITS)
