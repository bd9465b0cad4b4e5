"""One source of a collector: its exchanges, its queue, its way to its own directory of the lake.

Sources share the clock, the tally and the counters of arrival, and nothing that can break.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from fluxforge_collector.clock import Clock
from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.errors import FeedError
from fluxforge_collector.exchanges.streams import LONGEST_FETCH_US
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.metrics import Tally
from fluxforge_collector.queue import RecordQueue
from fluxforge_collector.records import Channel, GapReason, GapRecord
from fluxforge_collector.segments.commit import Known
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.recovery import recover
from fluxforge_collector.segments.writer import SegmentWriter
from fluxforge_collector.service.absence import last_manifest, start_of, was_ahead
from fluxforge_collector.service.last_trades import last_trades
from fluxforge_collector.service.plan import Exchange, Plan
from fluxforge_collector.service.writing import Writing

log = structlog.get_logger()


class Source:
    """Runs a plan: `open` blocks and comes first, then `run`, then `finish`."""

    def __init__(
        self,
        plan: Plan,
        root: Path,
        ingestion: Ingestion,
        *,
        clock: Clock,
        tally: Tally,
        next_seq: Callable[[], int],
        next_conn: Callable[[], int],
        on_rotated: Callable[[], None],
    ) -> None:
        self.name = plan.source
        self.why_failed: str | None = None
        self._plan = plan
        self._root = root
        self._ingestion = ingestion
        self._clock = clock
        self._tally = tally
        self._next_seq = next_seq
        self._on_rotated = on_rotated
        self._queue = RecordQueue(ingestion.queue_maxsize, ingestion.queue_max_mb << 20, next_seq=next_seq, tally=tally)
        self._ends = Ends(
            clock=clock,
            emit=self._queue.put,
            next_seq=next_seq,
            next_conn=next_conn,
            tally=tally,
            record_frames=ingestion.record_frames,
        )
        self._exchanges: list[Exchange] = []
        self._refused: dict[str, str] = {}
        self._is_open = False

    def open(self) -> None:
        """Recover what an earlier run left, see since when nothing was collected, and open the first segment.

        Raises: StorageError where another collector bears the name, or the disk refuses.
        """
        recover(self._root, self.name, self._ingestion, self._clock)
        self._exchanges = self._plan.make(self._ends, self._start(), self._refuse)
        expected: Known = {}
        for exchange, streams in self._plan.streams.items():
            for stream in streams:
                expected.setdefault(stream.channel, set()).add(Instrument(exchange, stream.symbol))
        writer = SegmentWriter(self._root, self.name, self._ingestion, self._clock, expected)
        # known before the first frame: should this run die at once, the next one need not guess
        self._checkpoint(self._clock.capture_us())
        writer.append(self._queue.take())
        writer.flush()
        self._writing, self._is_open = Writing(self._queue, writer, self._clock, self._tally), True
        self._writing.on_rotated, self._writing.on_ending = self._on_rotated, self._checkpoint

    def _start(self) -> Start:
        """Since when nothing was collected, and the trades before that."""
        paths, now_us = SourcePaths(self._root, self.name), self._clock.capture_us()
        last = last_manifest(paths, self._ingestion.collector, now_us)
        start = start_of(last, now_us)
        if was_ahead(paths, self._ingestion.collector, now_us):
            log.warning("clock step", detail="segments of an earlier run end after now: its clock was ahead")
            return Start(start.since_us, GapReason.CLOCK, is_first=False)
        if last is None or now_us - last.to_us > LONGEST_FETCH_US:
            return start
        wanted = {
            Instrument(exchange, stream.symbol)
            for exchange, streams in self._plan.streams.items()
            for stream in streams
            if stream.channel is Channel.TRADES
        }
        return start._replace(trades=last_trades(paths, last, wanted))

    async def run(self) -> None:
        """Collect and write until cancelled. Raises: FeedError once there is nothing left to collect."""
        tasks = {
            asyncio.create_task(self._writing.run(), name=f"writing {self.name}"),
            asyncio.create_task(self._feed(), name=f"feeds {self.name}"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Write what is left, seal the last segment, and let go of the collector's name."""
        if self._is_open:
            self._is_open = False
            await self._writing.finish()

    def mark_step(self, before_us: int, after_us: int, detail: str) -> None:
        """A step of the wall clock, capture times before and after it: a gap of every instrument."""
        for instrument in self._plan.instruments:
            self._tally.gaps[instrument.exchange, GapReason.CLOCK] += 1
            self._queue.put(
                GapRecord(*instrument, "all", before_us, after_us, GapReason.CLOCK, None, detail, self._next_seq())
            )

    @property
    def streams(self) -> list[tuple[str, str, str]]:
        """What is asked for: exchange, symbol, channel."""
        return [(name, s.symbol, s.channel) for name, streams in self._plan.streams.items() for s in streams]

    @property
    def why_stopped(self) -> str | None:
        """Why this source does not keep what comes in, or collects nothing any more; None where all is well."""
        full = f"the queue of {self.name} is full" if self._queue.is_full else None
        return self.why_failed or self._writing.why_stopped or full

    def quiet_s(self) -> dict[str, float]:
        """Seconds for which what must move has stood still; nothing once there is nothing to write any more."""
        if not self._is_open:
            return {}
        exchanges = zip(self._plan.streams, self._exchanges, strict=True)
        watched = {f"the watch over {name}": exchange.unwatched_s for name, exchange in exchanges}
        return {f"the writer of {self.name}": self._writing.quiet_s, **watched}

    async def _feed(self) -> None:
        """Run every exchange. Raises: FeedError once none of them has anything left to collect."""
        async with asyncio.TaskGroup() as exchanges:
            for exchange in self._exchanges:
                exchanges.create_task(exchange.run())
        raise FeedError("there is nothing to collect", "; ".join(self._refused.values()) or "name symbols to collect")

    def _checkpoint(self, at_us: int) -> None:
        for exchange in self._exchanges:
            exchange.checkpoint(at_us)

    def _refuse(self, what: str) -> None:
        """Tell of it once, though connections are renewed every day, and ask again."""
        subject = what.partition(": ")[0]  # why may read otherwise each time: OKX names the connection
        if subject in self._refused:
            return
        self._refused[subject] = what
        self._tally.refused.append(what)
        log.error("refused", what=what)
