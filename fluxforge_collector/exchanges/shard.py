"""One share of an exchange's streams for ever: a feed, and in time the one that takes over from it before it is cut.

Exchanges end a connection after a day. A new feed comes up beside the old one, flows, and takes over stream after
stream (`relay`); then the old one is let go. Where the new one does not come up, the old one stays.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import NamedTuple

import structlog

from fluxforge_collector.exchanges.ccxt_feed import Feed
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.relay import Relay
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.records import Channel, GapReason

log = structlog.get_logger()

_POLL_S = 0.05
_SETTLE_S = 2.0
_PATIENCE_S = 120.0
_AGAIN = 0.02


class Running(NamedTuple):
    """A feed at work."""

    recorder: Recorder
    task: asyncio.Task[None]


Makes = Callable[[Ends, Start], tuple[Recorder, Feed]]


class Shard:
    """Runs a share of streams until its feed breaks; `make` gives a feed that nobody runs yet."""

    def __init__(self, streams: list[Stream], make: Makes, ends: Ends, *, renew_s: float, exchange: str) -> None:
        self._streams = streams
        self._make = make
        self._ends = ends
        self._renew_s = renew_s
        self._log = log.bind(exchange=exchange)
        self.recorders: set[Recorder] = set()

    async def run(self, start: Start) -> None:
        """Run a feed and its successors. Raises: what broke a feed."""
        running = self._begin(self._ends, start)
        wait_s = self._renew_s
        try:
            while True:
                await asyncio.wait({running.task}, timeout=wait_s * random.uniform(0.95, 1.0))  # noqa: S311  # jitter
                if running.task.done():
                    running.task.result()
                    return
                successor = await self._renew(running)
                wait_s = self._renew_s if successor else max(1.0, self._renew_s * _AGAIN)
                running = successor or running
        finally:
            await self._end(running)

    def _begin(self, ends: Ends, start: Start) -> Running:
        recorder, feed = self._make(ends, start)
        self.recorders.add(recorder)
        return Running(recorder, asyncio.create_task(feed.run()))

    async def _end(self, running: Running) -> None:
        running.task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(running.task, return_exceptions=True)
        self.recorders.discard(running.recorder)

    async def _renew(self, old: Running) -> Running | None:
        """Bring a new feed up beside the old one and let it take over; None where the old one stays for now."""
        if old.recorder.missing or not any(map(old.recorder.is_whole, self._streams)):
            return None
        relay = Relay(self._streams, self._ends)
        old.recorder.redirect(relay.old)
        new = self._begin(relay.new, Start(self._ends.clock.capture_us(), GapReason.DISCONNECT, is_first=True))
        is_better = False
        try:
            is_better = await self._pass_over(relay, old, new)
        finally:
            if not is_better:
                self._open_gaps(old.recorder, relay, set(self._streams) - relay.left)
                old.recorder.redirect(self._ends)
                await self._end(new)
        if not is_better:
            self._log.warning("not renewed", streams=len(self._streams))
            return None
        left = relay.left
        await self._end(old)
        self._open_gaps(new.recorder, relay, left)
        new.recorder.redirect(self._ends)
        self._log.info("connections renewed", streams=len(self._streams), unseen=len(left))
        return new

    def _open_gaps(self, recorder: Recorder, relay: Relay, streams: AbstractSet[Stream]) -> None:
        """These streams go on in a feed that may not have brought all since the other one stopped doing so."""
        for stream in streams:
            since_us = relay.last_us(stream) or self._ends.clock.capture_us()
            recorder.open_gap(stream, since_us, GapReason.DISCONNECT, "from one connection to the next")
            relay.move(stream)

    async def _pass_over(self, relay: Relay, old: Running, new: Running) -> bool:
        """Wait until the streams have passed that flow in the old feed; whether the new one is to go on."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        whole_since: dict[Stream, float] = {}
        while any(map(old.recorder.is_whole, relay.left)) and loop.time() < deadline:
            await asyncio.sleep(_POLL_S)
            if old.task.done() or new.task.done():
                break
            for stream in relay.left:
                if stream.channel is Channel.TRADES and new.recorder.is_whole(stream):
                    since = whole_since.setdefault(stream, loop.time())
                    if loop.time() > since + _SETTLE_S:
                        relay.move(stream)
        return not new.task.done() and len(relay.left) < len(self._streams)
