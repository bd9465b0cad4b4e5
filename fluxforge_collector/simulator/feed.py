"""The stochastic market as a feed: turns the books of each venue into frames, slice by slice."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator.book import Best
from fluxforge_collector.simulator.connection import Connection
from fluxforge_collector.simulator.delivery import Delivery
from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.listing import Listing, find_listing
from fluxforge_collector.simulator.market import SLICE_US, BookFlow, Market
from fluxforge_collector.simulator.options import SimulatorOptions
from fluxforge_collector.simulator.venues import VENUES
from fluxforge_collector.simulator.view import View
from fluxforge_collector.simulator.wire import Day, Moment, Past, Topic, Wire

_BOOK_SLICES = 5
_BATCH = 25  # slices between two looks at the event loop
_PAST_TRADES = 5000


class MarketFeed:
    """The market, its clock, and who listens to it."""

    def __init__(self, options: SimulatorOptions, delivery: Delivery) -> None:
        listings = [find_listing(symbol) for symbol in options.instruments]
        self.wires: list[Wire] = [VENUES[exchange] for exchange in options.exchanges]
        self.is_finished = False
        self.missed: dict[str, int] = {}
        self._speed = options.speed
        self._delivery = delivery
        self._market = Market(options.seed, options.exchanges, listings, options.far_levels)
        self._start_us = options.start_us if options.start_us is not None else time.time_ns() // 1000
        self._slices = 0
        self._beats = 0
        self._past: dict[tuple[str, str], deque[Past]] = defaultdict(lambda: deque(maxlen=_PAST_TRADES))
        self._views: dict[tuple[str, Topic], View] = {}
        self._best: dict[tuple[str, str], Best | None] = {}
        self._flows: dict[str, dict[str, BookFlow]] = {
            wire.exchange: {wire.market_id(flow.listing): flow for flow in self._market.flows[wire.exchange].values()}
            for wire in self.wires
        }

    @property
    def current_us(self) -> int:
        """The exchange's clock."""
        return self._start_us + self._market.elapsed_us

    def markets(self, wire: Wire) -> dict[str, Listing]:
        """What a venue lists, by its own market ids."""
        return {market: flow.listing for market, flow in self._flows[wire.exchange].items()}

    def rest(self, wire: Wire, path: str, query: Mapping[str, str]) -> Any:
        """The JSON answer to a REST request; None where there is none."""
        moments = {
            market: self._moment(flow)._replace(past=self._past[wire.exchange, market])
            for market, flow in self._flows[wire.exchange].items()
        }
        return wire.rest(path, query, moments, self.current_us)

    def begin(self, connection: Connection, topics: list[Topic]) -> None:
        """Topics were subscribed; their snapshots follow at the next publication of the book."""
        connection.topics.update(topics)
        connection.opening.update(topics)

    def request_start(self) -> None:
        """The market runs by itself; nothing to start."""

    def disturb(self, fault: Fault) -> int:
        """Let a fault of the market happen. Returns: how many books it touched. Raises: ConfigError where none is."""
        if fault.kind == "clock_skew":
            self._start_us += round(fault.seconds * 1e6)
            return 0
        struck = [
            (exchange, market)
            for exchange, flows in self._flows.items()
            for market, flow in flows.items()
            if fault.exchange in {None, exchange} and fault.symbol in {None, flow.listing.symbol}
        ]
        if not struck:
            raise ConfigError(f"nothing is listed that {fault.kind} could strike", "name a listed exchange and symbol")
        for exchange, market in struck:
            if fault.kind == "delist":
                del self._flows[exchange][market]
            else:
                self._flows[exchange][market].book.skip(fault.count)
        if fault.kind == "gap":
            self._skip(fault, set(struck))
        return len(struck)

    def _skip(self, fault: Fault, struck: set[tuple[str, str]]) -> None:
        """Let the counts of views and connections jump, too."""
        for (exchange, topic), view in self._views.items():
            if (exchange, topic.market) in struck:
                view.update_id += fault.count
        for connection in self._delivery.connections:
            if {(connection.wire.exchange, topic.market) for topic in connection.topics} & struck:
                connection.skip(fault.count)

    async def run(self) -> None:
        """Run the market at its speed, for ever."""
        started = time.monotonic()
        while True:
            if self._speed == "max":
                await self._run_batch()
                continue
            due = int((time.monotonic() - started) * self._speed * 1e6 / SLICE_US)
            for _ in range(min(_BATCH, due - self._slices)):
                self.step()
            behind = due - self._slices
            await asyncio.sleep(0 if behind > 0 else SLICE_US / 1e6 / max(1.0, self._speed))

    async def _run_batch(self) -> None:
        """One batch as fast as it is consumed; time stands still while nobody listens."""
        listening = [c for c in self._delivery.connections if c.topics]
        if not listening:
            await asyncio.sleep(0.02)
            return
        for _ in range(_BATCH):
            self.step()
        for connection in listening:
            await connection.settle()

    def step(self) -> None:
        """Advance the market by one slice, and publish what is due."""
        self._market.advance()
        self._slices += 1
        listeners: dict[tuple[str, Topic], list[Connection]] = defaultdict(list)
        for connection in self._delivery.connections:
            for topic in connection.topics:
                listeners[connection.wire.exchange, topic].append(connection)
        by_market: dict[tuple[str, str], list[Topic]] = defaultdict(list)
        for exchange, topic in listeners:
            by_market[exchange, topic.market].append(topic)
        for wire in self.wires:
            for index, (market, flow) in enumerate(self._flows[wire.exchange].items()):
                self._past[wire.exchange, market].extend(Past(trade, self.current_us) for trade in flow.trades)
                # books are published in turn, so that the load is even
                slices = self._slices + index
                moment = self._moment(flow, is_book_due=slices % _BOOK_SLICES == 0)
                best = flow.book.best()
                moment = moment._replace(is_best_changed=best != self._best.get((wire.exchange, market)))
                self._best[wire.exchange, market] = best
                for topic in by_market.get((wire.exchange, market), ()):
                    if slices % wire.cadence(topic.channel) == 0:
                        self._publish(wire, topic, moment, listeners[wire.exchange, topic])
            for topic in by_market.get((wire.exchange, ""), ()):
                if self._slices % wire.cadence(topic.channel) == 0:
                    self._beat(wire, topic, listeners[wire.exchange, topic])

    def _beat(self, wire: Wire, topic: Topic, connections: list[Connection]) -> None:
        self._beats += 1
        frame = wire.beat(topic, self.current_us, self._beats)
        if frame is not None:
            self._delivery.send(wire.exchange, frame, connections, None)

    def _publish(self, wire: Wire, topic: Topic, moment: Moment, connections: list[Connection]) -> None:
        depth = wire.depth(topic.channel)
        if depth:
            view = self._views.setdefault((wire.exchange, topic), View(depth))
            moment = moment._replace(delta=view.advance(moment.book), view_id=view.update_id)
        running = [c for c in connections if topic not in c.opening]
        if running:
            for frame in wire.publish(topic, moment):
                self._delivery.send(wire.exchange, frame, running, None)
        for connection in connections:
            if topic in connection.opening:
                connection.opening.discard(topic)
                opened = moment._replace(is_best_changed=True, past=self._past[wire.exchange, topic.market])
                snapshot = wire.snapshot(topic, opened)
                for frame in [snapshot] if snapshot else wire.publish(topic, opened):
                    self._delivery.send(wire.exchange, frame, [connection], None)

    def _moment(self, flow: BookFlow, *, is_book_due: bool = False) -> Moment:
        day = Day(flow.open, flow.high, flow.low, flow.last, flow.volume, flow.turnover, flow.trade_id)
        delta = flow.book.drain() if is_book_due else None
        return Moment(flow.listing, flow.book, self.current_us, flow.trades, delta, day)
