"""The collector as a whole: its sources, run side by side until told to stop; then an orderly end of all of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress

import pyarrow as pa
import structlog

from fluxforge_collector.clock import Clock, SystemClock
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError, StorageError
from fluxforge_collector.health.exposition import registry_of
from fluxforge_collector.health.http import Shown, serve_health
from fluxforge_collector.metrics import Tally
from fluxforge_collector.service.absence import ClockGuard
from fluxforge_collector.service.heart import Heart
from fluxforge_collector.service.plan import Plan, plans
from fluxforge_collector.service.report import CollectReport, report_of
from fluxforge_collector.service.sending import Sending
from fluxforge_collector.service.source import Source

__all__ = ["CollectReport", "collect"]

log = structlog.get_logger()


async def collect(
    config: Config,
    *,
    sources: Iterable[str] | None = None,
    clock: Clock | None = None,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    tally: Tally | None = None,
) -> CollectReport:
    """Collect what the configuration asks for, until `stop` is set or `seconds` have passed.

    `sources` are the collector families to run, by default all that the configuration has a section for.

    Raises: ConfigError where the configuration names nothing that can be collected; FeedError where every exchange
    refuses everything; StorageError where the lake cannot be written at the start, or not sealed at the end.
    """
    collector = _Collector(config, plans(config, sources), clock or SystemClock(), tally or Tally())
    with structlog.contextvars.bound_contextvars(collector=config.ingestion.collector):
        return await collector.run(seconds, stop or asyncio.Event())


class _Collector:
    def __init__(self, config: Config, planned: list[Plan], clock: Clock, tally: Tally) -> None:
        self._config = config
        self._clock = clock
        self._tally = tally
        guard = ClockGuard(clock, self._mark_step)
        next_seq, next_conn = itertools.count().__next__, itertools.count().__next__
        self._sources = [
            Source(
                plan,
                config.root,
                config.ingestion,
                clock=clock,
                tally=tally,
                next_seq=next_seq,
                next_conn=next_conn,
                on_rotated=guard.settle,
            )
            for plan in planned
        ]
        self._failures: list[Exception] = []
        self._sending = Sending.of(config, tally)

    async def run(self, seconds: float | None, stop: asyncio.Event) -> CollectReport:
        began = self._clock.monotonic()
        runs: dict[Source, asyncio.Task[None]] = {}
        sending: asyncio.Task[None] | None = None
        try:
            if self._sending is not None:
                await asyncio.to_thread(self._sending.check)
            for source in self._sources:
                with structlog.contextvars.bound_contextvars(source=source.name):
                    await asyncio.to_thread(_open, source)
            heart = self._heart()
            shown = Shown(registry_of(heart.seen), heart.why_not_alive, heart.why_not_ready)
            runs |= {source: asyncio.create_task(self._keep(source)) for source in self._sources}
            sending = asyncio.create_task(self._sending.run(), name="sending") if self._sending else None
            async with serve_health(self._config.metrics, shown) as address:
                if address:
                    log.info("metrics served", address=address)
                await _until(stop, seconds, set(runs.values()), heart)
        finally:
            await self._end(runs)
            if sending is not None:
                await self._stop_sending(sending)
        await heart.beat(stopped=True)
        self._raise_failures()
        return report_of(self._tally, self._clock.monotonic() - began)

    async def _keep(self, source: Source) -> None:
        """Run a source; where it fails, seal what it has and let the others go on."""
        structlog.contextvars.bind_contextvars(source=source.name)  # of this task alone
        try:
            await source.run()
        except Exception as error:  # whatever it is, the other sources have nothing to do with it
            source.why_failed = str(error)
            self._failures.append(error)
            is_foreseen = isinstance(error, FluxForgeError)
            log.critical("source failed", why=str(error), exc_info=None if is_foreseen else error)
            await source.finish()

    async def _end(self, runs: dict[Source, asyncio.Task[None]]) -> None:
        """Stop and seal every source, none waiting for another. Raises: StorageError where the time is not enough."""
        grace_s = self._config.ingestion.shutdown_grace_seconds
        try:
            async with asyncio.timeout(grace_s):
                ends = [_end(source, runs.get(source)) for source in self._sources]
                for failure in await asyncio.gather(*ends, return_exceptions=True):
                    if isinstance(failure, BaseException):
                        raise failure
        except TimeoutError:
            raise StorageError(
                f"the last segment was not sealed within {grace_s:g} s", "it is sealed at the next start"
            ) from None

    async def _stop_sending(self, sending: asyncio.Task[None]) -> None:
        """Send what the end has sealed, as long as the grace allows; the rest waits on the disk for the next start."""
        sending.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.ingestion.shutdown_grace_seconds):
                await asyncio.gather(sending, return_exceptions=True)
                if self._sending is not None:
                    await self._sending.finish()

    def _raise_failures(self) -> None:
        """A failure that nobody foresaw is never passed over; a foreseen one only while other sources collect."""
        for failure in self._failures:
            if not isinstance(failure, FluxForgeError) or len(self._failures) == len(self._sources):
                raise failure

    def _mark_step(self, before_us: int, after_us: int, detail: str) -> None:
        for source in self._sources:
            source.mark_step(before_us, after_us, detail)

    def _heart(self) -> Heart:
        return Heart(
            self._config,
            {source.name: source.streams for source in self._sources},
            self._clock,
            self._tally,
            whys_stopped=lambda: [why for source in self._sources if (why := source.why_stopped)],
            quiet_s=lambda: {name: s for source in self._sources for name, s in source.quiet_s().items()},
        )


def _open(source: Source) -> None:
    # pyarrow looks for pandas when first used, which takes seconds: before the first frame comes, not after
    pa.array([0])
    source.open()


async def _until(stop: asyncio.Event, seconds: float | None, runs: set[asyncio.Task[None]], heart: Heart) -> None:
    """Let the heart beat until the stop, the time, or the end of every source."""
    beating = asyncio.create_task(heart.run(), name="heart")
    ends = {asyncio.create_task(stop.wait()), asyncio.create_task(_all(runs))}
    try:
        done, _ = await asyncio.wait({beating, *ends}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if beating in done:
            beating.result()
    finally:
        for task in (beating, *ends):
            task.cancel()
        await asyncio.gather(beating, *ends, return_exceptions=True)


async def _all(runs: set[asyncio.Task[None]]) -> bool:
    await asyncio.wait(runs)
    return True


async def _end(source: Source, run: asyncio.Task[None] | None) -> None:
    if run is not None:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    await source.finish()
