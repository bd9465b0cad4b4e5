"""Writing on while the disk refuses, and what becomes of the records meanwhile."""

import asyncio
import itertools
import threading
import weakref

import pytest
from support.clock import HandClock

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.errors import DataError, StorageError
from fluxforge_collector.metrics import Tally
from fluxforge_collector.queue import RecordQueue
from fluxforge_collector.records import BookRecord, GapReason, GapRecord
from fluxforge_collector.segments.manifest import ChannelEntry, InstrumentEntry, Manifest
from fluxforge_collector.segments.names import new_segment_id
from fluxforge_collector.service.writing import Writing

SEALED = Manifest(
    id=(segment := new_segment_id(5, "c1")), source="x", collector="c1", from_us=5, to_us=6, final=True,
    channels={
        "trades": ChannelEntry(
            file=f"segment_{segment}.parquet", rows=3, bytes=90, sha256="0",
            instruments={"x:A": InstrumentEntry(rows=3, first_us=5, last_us=5)},
        ),
    },
)  # fmt: skip


class FullDisk:
    """A writer whose disk is full until `is_full` is cleared."""

    def __init__(self):
        self.is_full = True
        self.rows, self.flushed, self.refusals = [], [], 0

    def append(self, records):
        self.rows += records
        if any(record.symbol == "bad" for record in records):
            raise DataError("a record that cannot be kept")

    def is_flush_due(self):
        return bool(self.rows)

    def is_rotation_due(self):
        return False

    def flush(self):
        if self.is_full:
            self.refusals += 1
            raise StorageError("no space left")
        self.flushed += self.rows
        self.rows = []

    def close(self):
        self.flush()
        return SEALED


def book(at, symbol="A"):
    return BookRecord("x", symbol, 0, at, None, at, [1.0, 1.0], [2.0, 1.0], at, 0)


@pytest.fixture
def tally():
    return Tally()


@pytest.fixture
def queue(tally):
    return RecordQueue(4, 1 << 20, next_seq=itertools.count().__next__, tally=tally)


@pytest.mark.asyncio
async def test_it_goes_on_when_space_returns_and_what_was_lost_is_a_gap(queue, tally, until):
    writer = FullDisk()
    writing = Writing(queue, writer, SystemClock(), tally)
    task = asyncio.create_task(writing.run())
    queue.put(book(0))
    await until(lambda: writing.why_stopped == "no space left")
    for at in range(1, 100):
        queue.put(book(at))
    assert len(queue) <= 4
    writer.is_full = False
    await until(lambda: any(isinstance(r, BookRecord) and r.capture_us == 99 for r in writer.flushed))
    assert writing.why_stopped is None
    (gap,) = [record for record in writer.flushed if isinstance(record, GapRecord)]
    books = [record for record in writer.flushed if isinstance(record, BookRecord)]
    assert gap.reason is GapReason.QUEUE_FULL
    assert len(books) + gap.lost == 100
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class StalledDisk(FullDisk):
    """A writer whose disk takes a flush, and neither does it nor refuses it until it is told to."""

    def __init__(self):
        super().__init__()
        self.is_full, self.goes_on, self.is_stalled = False, threading.Event(), False

    def flush(self):
        self.is_stalled = True
        assert self.goes_on.wait(60)
        super().flush()


@pytest.mark.asyncio
async def test_a_disk_that_stalls_never_holds_up_who_reads_and_every_loss_is_counted(queue, tally, until):
    writer = StalledDisk()
    writing = Writing(queue, writer, SystemClock(), tally)
    task = asyncio.create_task(writing.run())
    queue.put(book(0))
    await until(lambda: writer.is_stalled)
    for at in range(1, 5000):
        queue.put(book(at, symbol="AB"[at % 2]))
        assert len(queue) <= 4
    assert tally.queue_peak <= 4
    writer.goes_on.set()
    await until(lambda: any(isinstance(r, BookRecord) and r.capture_us == 4999 for r in writer.flushed))
    gaps = [record for record in writer.flushed if isinstance(record, GapRecord)]
    kept = [record for record in writer.flushed if isinstance(record, BookRecord)]
    assert {gap.symbol for gap in gaps} == {"A", "B"}
    assert len(kept) + sum(gap.lost for gap in gaps) == 5000
    assert tally.lost["x", "orderbook"] == 5000 - len(kept)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_record_that_cannot_be_kept_does_not_stop_the_others(queue, tally, until):
    writer = FullDisk()
    writer.is_full = False
    writing = Writing(queue, writer, SystemClock(), tally)
    task = asyncio.create_task(writing.run())
    queue.put(book(1, "bad"))
    queue.put(book(2))
    await until(lambda: len(writer.flushed) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    queue.put(book(3))
    assert await writing.finish() is SEALED
    assert [record.capture_us for record in writer.flushed] == [1, 2, 3]
    assert tally.segments == 1
    assert (tally.sealed_rows, tally.sealed_bytes) == ({("x", "trades"): 3}, {("x", "trades"): 90})
    assert tally.seals.total == 1


@pytest.mark.asyncio
async def test_it_says_how_long_it_has_stood_still(queue, tally):
    clock = HandClock(0)
    writing = Writing(queue, FullDisk(), clock, tally)
    clock.now_us = 200_000_000
    assert writing.quiet_s == 200


class DueDisk(FullDisk):
    """A writer whose segment is due after its first record."""

    to_us = 6

    def __init__(self):
        super().__init__()
        self.is_full, self.sealed = False, []

    def is_rotation_due(self):
        return bool(self.rows)

    def rotate(self):
        self.sealed, self.rows = self.rows, []
        return SEALED


class Replaced:
    """A connection as ccxt leaves it behind: it and what it holds point at each other."""

    def __init__(self):
        self.itself = self


@pytest.mark.asyncio
async def test_with_each_segment_what_lost_connections_left_in_memory_is_freed(queue, tally, until):
    writer = DueDisk()
    lost = weakref.ref(Replaced())
    assert lost() is not None
    task = asyncio.create_task(Writing(queue, writer, SystemClock(), tally).run())
    queue.put(book(1))
    await until(lambda: writer.sealed)
    assert lost() is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
