"""From the queue to the disk, whatever the disk does meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa
import structlog

from fluxforge_collector.clock import Clock
from fluxforge_collector.errors import DataError, InstrumentError, StorageError
from fluxforge_collector.metrics import Durations, Tally
from fluxforge_collector.queue import RecordQueue
from fluxforge_collector.reconnect import Backoff
from fluxforge_collector.segments.manifest import Manifest
from fluxforge_collector.segments.writer import SegmentWriter

log = structlog.get_logger()

_BATCH = 5000
_LONGEST_WAIT_S = 5.0


class Writing:
    """The way from the queue to the disk: one blocking call at a time, in a worker thread.

    Where the disk refuses, writing stops and is tried again; meanwhile the queue gives up what it must.
    """

    def __init__(self, queue: RecordQueue, writer: SegmentWriter, clock: Clock, tally: Tally) -> None:
        self._queue = queue
        self._writer = writer
        self._clock = clock
        self._tally = tally
        self.on_ending: Callable[[int], None] = lambda _: None
        self.on_rotated: Callable[[], None] = lambda: None
        self.why_stopped: str | None = None
        self._moved_s = clock.monotonic()

    @property
    def quiet_s(self) -> float:
        """Seconds since it last moved, or last heard from the disk."""
        return self._clock.monotonic() - self._moved_s

    async def run(self) -> None:
        """Write until cancelled; what is in the queue then is left to `finish`."""
        while True:
            self._moved_s = self._clock.monotonic()
            self._append(await self._queue.get_batch(_BATCH))
            if self._writer.is_rotation_due():
                await self._rotate()
                self.on_rotated()
            elif self._writer.is_flush_due():
                await self._persist(self._writer.flush, self._tally.flushes)
                pa.default_memory_pool().release_unused()  # or what is free between others would stay resident

    async def finish(self) -> Manifest:
        """Write what is left and seal the last segment."""
        while self._writer.is_rotation_due():
            await self._rotate()
        self._append(self._queue.take())
        manifest: Manifest = await self._persist(self._writer.close, self._tally.seals)
        self._count(manifest)
        return manifest

    async def _rotate(self) -> None:
        # a gap belongs to the segment in which it ends, so what is told of open ones ends just within this one
        self.on_ending(min(self._clock.capture_us(), self._writer.to_us - 1))
        # everything captured before the segment's end is in the queue by now
        self._append(self._queue.take())
        # connections that were replaced lie in cycles; a seal is a peak, so what is free goes back to the system before
        gc.collect()
        pa.default_memory_pool().release_unused()
        self._count(await self._persist(self._writer.rotate, self._tally.seals))

    def _count(self, manifest: Manifest) -> None:
        self._tally.segments += 1
        for channel, entry in manifest.channels.items():
            self._tally.sealed_rows[manifest.source, channel] += entry.rows
            self._tally.sealed_bytes[manifest.source, channel] += entry.bytes

    def _append(self, records: list[Any]) -> None:
        try:
            self._writer.append(records)
        except (DataError, InstrumentError) as error:
            log.warning("record not kept", why=str(error))

    async def _persist(self, action: Callable[[], Any], durations: Durations) -> Any:
        """Run a blocking call of the writer until the disk takes it; never two at once, even when cancelled."""
        # asking a disk again costs nothing, and each second it waits for may cost records
        backoff = Backoff(cap_s=_LONGEST_WAIT_S)
        while True:
            self._moved_s = began_s = self._clock.monotonic()
            call = asyncio.ensure_future(asyncio.to_thread(action))
            try:
                result = await asyncio.shield(call)
            except asyncio.CancelledError:
                with suppress(StorageError):
                    await call
                raise
            except StorageError as error:
                self._tally.storage_errors += 1
                self.why_stopped = str(error)
                delay_s = backoff.next_delay_s()
                log.critical("cannot write", why=str(error), again_in_s=round(delay_s, 2))
                await asyncio.sleep(delay_s)
            else:
                self.why_stopped = None
                durations.add(self._clock.monotonic() - began_s)
                return result
