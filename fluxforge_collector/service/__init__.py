"""The collector as a whole: recovery, then feeds, queue and writer, until told to stop; then an orderly end."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pyarrow as pa
import structlog

from fluxforge_collector.clock import Clock, SystemClock
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError, FeedError, StorageError
from fluxforge_collector.exchanges.ccxt_exchange import CcxtExchange, check_known, streams_of
from fluxforge_collector.exchanges.surroundings import Ends
from fluxforge_collector.health.exposition import registry_of
from fluxforge_collector.health.http import Shown, serve_health
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.metrics import Tally
from fluxforge_collector.queue import RecordQueue
from fluxforge_collector.records import GapRecord
from fluxforge_collector.segments.commit import Known
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.recovery import recover
from fluxforge_collector.segments.writer import SegmentWriter
from fluxforge_collector.service.absence import ClockGuard, last_manifest, start_of
from fluxforge_collector.service.heart import Heart
from fluxforge_collector.service.report import CollectReport, report_of
from fluxforge_collector.service.writing import Writing

__all__ = ["CollectReport", "collect"]

log = structlog.get_logger()

SOURCE = "ccxt"


async def collect(
    config: Config,
    *,
    clock: Clock | None = None,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    tally: Tally | None = None,
) -> CollectReport:
    """Collect what the configuration asks for, until `stop` is set or `seconds` have passed.

    Raises: ConfigError where the configuration names nothing that can be collected; FeedError where every exchange
    refuses everything; StorageError where the lake cannot be written at the start, or not sealed at the end.
    """
    if not config.exchanges:
        raise ConfigError("the configuration names no exchange", "add one under exchanges, see fluxforge.example.yaml")
    for exchange in config.exchanges:
        check_known(exchange)
    clock, tally = clock or SystemClock(), tally or Tally()
    with structlog.contextvars.bound_contextvars(collector=config.ingestion.collector, source=SOURCE):
        return await _Collector(config, clock, tally).run(seconds, stop or asyncio.Event())


class _Collector:
    def __init__(self, config: Config, clock: Clock, tally: Tally) -> None:
        self._config = config
        self._clock = clock
        self._tally = tally
        self._next_seq = itertools.count().__next__
        self._exchanges: list[CcxtExchange] = []
        ingestion = config.ingestion
        self._queue = RecordQueue(
            ingestion.queue_maxsize, ingestion.queue_max_mb << 20, next_seq=self._next_seq, tally=tally
        )
        self._ends = Ends(
            clock=clock,
            emit=self._queue.put,
            next_seq=self._next_seq,
            next_conn=itertools.count().__next__,
            tally=tally,
        )
        self._instruments = sorted(
            {Instrument(name, s.symbol) for name, settings in config.exchanges.items() for s in streams_of(settings)}
        )

    async def run(self, seconds: float | None, stop: asyncio.Event) -> CollectReport:
        began = self._clock.monotonic()
        writer = await asyncio.to_thread(self._open_writer)
        writing = Writing(self._queue, writer, self._clock, self._tally)
        guard = ClockGuard(self._clock, self._instruments, put=self._put_gap, next_seq=self._next_seq)
        writing.on_rotated, writing.on_ending = guard.settle, self._checkpoint
        heart = self._heart(writing)
        grace_s = self._config.ingestion.shutdown_grace_seconds
        shown = Shown(registry_of(heart.seen), heart.why_not_alive, heart.why_not_ready)
        tasks = {
            asyncio.create_task(writing.run(), name="writing"),
            asyncio.create_task(self._feed(), name="feeds"),
            asyncio.create_task(heart.run(), name="heart"),
        }
        try:
            async with serve_health(self._config.metrics, shown) as address:
                if address:
                    log.info("metrics served", address=address)
                await _until(stop, seconds, tasks)
        finally:
            try:
                async with asyncio.timeout(grace_s):
                    await _cancel(tasks)
                    await writing.finish()
                await heart.beat(stopped=True)
            except TimeoutError:
                raise StorageError(
                    f"the last segment was not sealed within {grace_s:g} s", "it is sealed at the next start"
                ) from None
        return report_of(self._tally, self._clock.monotonic() - began)

    def _open_writer(self) -> SegmentWriter:
        """Recover what an earlier run left, see since when nothing was collected, and open the first segment."""
        # pyarrow looks for pandas when first used, which takes seconds: before the first frame comes, not after
        pa.array([0])
        root, ingestion = self._config.root, self._config.ingestion
        recover(root, SOURCE, ingestion, self._clock)
        last = last_manifest(SourcePaths(root, SOURCE), ingestion.collector)
        start = start_of(last, self._clock.capture_us())
        self._exchanges = [
            CcxtExchange(name, settings, self._ends, start=start, refuse=self._refuse)
            for name, settings in self._config.exchanges.items()
        ]
        expected: Known = {}
        for name, settings in self._config.exchanges.items():
            for stream in streams_of(settings):
                expected.setdefault(stream.channel, set()).add(Instrument(name, stream.symbol))
        writer = SegmentWriter(root, SOURCE, ingestion, self._clock, expected)
        # known before the first frame: should this run die at once, the next one need not guess
        self._checkpoint(self._clock.capture_us())
        writer.append(self._queue.take())
        writer.flush()
        return writer

    def _checkpoint(self, at_us: int) -> None:
        for exchange in self._exchanges:
            exchange.checkpoint(at_us)

    def _put_gap(self, gap: GapRecord) -> None:
        self._tally.gaps[gap.exchange, gap.reason] += 1
        self._queue.put(gap)

    async def _feed(self) -> None:
        """Run every exchange. Raises: FeedError once none of them has anything left to collect."""
        async with asyncio.TaskGroup() as exchanges:
            for exchange in self._exchanges:
                exchanges.create_task(exchange.run())
        raise FeedError("there is nothing to collect", "; ".join(self._tally.refused) or "name symbols to collect")

    def _refuse(self, what: str) -> None:
        self._tally.refused.append(what)
        log.error("refused", what=what)

    def _heart(self, writing: Writing) -> Heart:
        asked = [
            (name, stream.symbol, stream.channel)
            for name, settings in self._config.exchanges.items()
            for stream in streams_of(settings)
        ]
        return Heart(
            self._config,
            {SOURCE: asked},
            self._clock,
            self._tally,
            whys_stopped=lambda: [writing.why_stopped] if writing.why_stopped else [],
            quiet_s=lambda: writing.quiet_s,
        )


async def _until(stop: asyncio.Event, seconds: float | None, tasks: set[asyncio.Task[None]]) -> None:
    """Wait for the stop, the time, or the end of a task, which is then raised."""
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait({stopped, *tasks}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel({stopped})
    for task in done & tasks:
        task.result()


async def _cancel(tasks: set[Any]) -> None:
    """Cancel tasks and wait for their end; what they failed with has been raised already."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
