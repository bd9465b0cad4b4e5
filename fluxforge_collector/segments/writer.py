"""The writer: what is appended becomes journals, then sealed segments. It decides which segment a record belongs to.

`append` belongs to the event loop; `flush`, `rotate` and `close` block, and run one at a time in a worker thread, while
`append` may go on: they take the rows that are there and leave fresh buffers behind.

A segment's journals are opened only when everything of the one before is on disk, and its manifest is written only
when the next segment's gaps journal stands. So after any death the last journal found tells where certainty ends, and
a journal with a successor lacks nothing.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fluxforge_collector.errors import DataError, InstrumentError, StorageError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.columns import RECORDS, Columns, time_us
from fluxforge_collector.segments.commit import CHANNELS, Ending, Header, Known, discard_journals, seal_segment
from fluxforge_collector.segments.journals import AnyJournal, new_journal
from fluxforge_collector.segments.lock import CollectorLock
from fluxforge_collector.segments.names import DAY_US, RawFormat, SourcePaths, new_segment_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from fluxforge_collector.clock import Clock
    from fluxforge_collector.config.model import Ingestion
    from fluxforge_collector.records import Record
    from fluxforge_collector.segments.manifest import Manifest

_MIB = 1 << 20
_LEAP_US = 3_600_000_000
"""Time beyond which no segment is made for each minute that the clock has passed over, and nobody has lived through."""


def next_boundary(after_us: int, seconds: int) -> int:
    """The first multiple of `seconds` since the epoch, or UTC midnight if sooner, after a time in microseconds."""
    length_us = seconds * 1_000_000
    return min((after_us // length_us + 1) * length_us, (after_us // DAY_US + 1) * DAY_US)


def boundary_before(at_us: int, seconds: int) -> int:
    """The last multiple of `seconds` since the epoch, or UTC midnight if later, up to a time in microseconds."""
    length_us = seconds * 1_000_000
    return max(at_us // length_us * length_us, at_us // DAY_US * DAY_US)


class _Segment:
    """A segment being written: its range of capture time, its journals and what they still lack."""

    def __init__(self, paths: SourcePaths, from_us: int, ingestion: Ingestion) -> None:
        self.id = new_segment_id(from_us, ingestion.collector)
        self.form = RawFormat(ingestion.raw_format)
        self.from_us = from_us
        self.to_us = next_boundary(from_us, ingestion.segment_max_seconds)
        self.final = False
        self.known: Known = {}
        self.manifest: Manifest | None = None
        self.unwritten: list[tuple[Channel, pa.RecordBatch]] = []
        self._paths = paths
        self._journals: dict[Channel, AnyJournal] = {}

    @property
    def bytes(self) -> int:
        """The size of the largest journal."""
        return max((journal.bytes for journal in self._journals.values()), default=0)

    def start(self, header: Header) -> None:
        """Make the segment known to recovery."""
        if Channel.GAPS not in self._journals:
            self._open(Channel.GAPS, header.to_metadata())

    def _open(self, channel: Channel, metadata: dict[str, str] | None = None) -> AnyJournal:
        path = self._paths.journal(channel, self.id, self.form)
        journal = self._journals[channel] = new_journal(path, channel, metadata)
        return journal

    def write(self) -> None:
        """Put what is unwritten into the journals; where the disk refuses, the rest stays unwritten."""
        while self.unwritten:
            channel, batch = self.unwritten[0]
            (self._journals.get(channel) or self._open(channel)).append(batch)
            del self.unwritten[0]

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()


class SegmentWriter:
    """Writes one source of a collector. Holds the collector's lock until `close` has succeeded.

    `expected` are the instruments whose rows will come: after a death they have a gap even where none had come yet.

    Raises: StorageError from the constructor where another living collector bears the name, or the disk refuses.
    """

    def __init__(
        self, root: Path, source: str, ingestion: Ingestion, clock: Clock, expected: Known | None = None
    ) -> None:
        self._paths = SourcePaths(root, source)
        self._ingestion = ingestion
        self._clock = clock
        self._guard = threading.Lock()
        self._known: Known = {
            channel: set((expected or {}).get(channel, ())) for channel in CHANNELS if channel is not Channel.GAPS
        }
        self._safe: set[tuple[str, str]] = set()
        self._later: list[Record] = []
        self._not_before = clock.monotonic()
        self._flushed_at = clock.monotonic()
        self._last_us = 0
        self._is_closed = False
        self._closing: _Segment | None = None
        self._pending = {channel: Columns(channel) for channel in CHANNELS}
        self._open = self._new_segment(clock.capture_us())
        self._lock = CollectorLock(self._paths, ingestion.collector)
        try:
            self._open.start(Header(self._known))
        except BaseException:
            self._lock.release()
            raise

    def _new_segment(self, from_us: int) -> _Segment:
        return _Segment(self._paths, from_us, self._ingestion)

    @property
    def segment_id(self) -> str:
        """The id of the segment that takes the next record."""
        return self._open.id

    @property
    def to_us(self) -> int:
        """Where the segment that takes the next record ends, unless it grows too large before."""
        return self._open.to_us

    @property
    def rows_buffered(self) -> int:
        """Rows in memory only."""
        return sum(map(len, self._pending.values())) + len(self._later)

    def append(self, records: Iterable[Record]) -> None:
        """Copy records into memory, to be flushed.

        Raises: DataError or InstrumentError for records that cannot be kept, all others being kept; StorageError after
        `close`.
        """
        refused: DataError | InstrumentError | None = None
        with self._guard:
            if self._is_closed:
                raise StorageError("the writer is closed", "make a new one")
            for record in records:
                try:
                    self._place(record)
                except (DataError, InstrumentError) as error:
                    refused = error
        if refused:
            raise refused

    def _place(self, record: Record) -> None:
        instrument = record.exchange, record.symbol
        if instrument not in self._safe:
            self._safe.add(Instrument.from_key(Instrument(*instrument).key))
        moment_us = time_us(record)
        if moment_us >= self._open.to_us:
            self._later.append(record)
            return
        channel = RECORDS[type(record)]
        self._pending[channel].append(record)
        self._last_us = max(self._last_us, moment_us)
        if channel is not Channel.GAPS and instrument not in self._known[channel]:
            self._known[channel].add(Instrument(*instrument))

    def is_flush_due(self) -> bool:
        """Whether enough rows, or enough time with any row, has gathered since the last flush."""
        now = self._clock.monotonic()
        rows = sum(map(len, self._pending.values()))
        if now < self._not_before or not (rows or self._open.unwritten):
            return False
        return rows >= self._ingestion.batch_size or now >= self._flushed_at + self._ingestion.flush_interval_seconds

    def is_rotation_due(self) -> bool:
        """Whether the segment is old or large enough, or an earlier rotation is unfinished.

        Drain the queue between the moment this says so and `rotate`: what is appended afterwards although captured
        before the segment's end is kept in the next one, late.
        """
        if self._clock.monotonic() < self._not_before:
            return False
        is_large = self._open.bytes >= self._ingestion.segment_max_mb * _MIB
        return is_large or self._closing is not None or self._clock.capture_us() >= self._open.to_us

    @contextmanager
    def _retried(self) -> Iterator[None]:
        """Nothing is due for a flush interval after the disk has refused."""
        try:
            yield
        except StorageError:
            self._not_before = self._clock.monotonic() + self._ingestion.flush_interval_seconds
            raise

    def flush(self) -> None:
        """Put every row in memory on the disk, a batch per channel.

        Raises: StorageError where the disk refuses; the rows stay in memory for the next attempt.
        """
        with self._retried():
            self._start_open()
            with self._guard:
                taken = self._take()
            self._open.unwritten += [(channel, columns.to_batch()) for channel, columns in taken]
            self._open.write()
            self._flushed_at = self._clock.monotonic()

    def _take(self) -> list[tuple[Channel, Columns]]:
        taken = [(channel, columns) for channel, columns in self._pending.items() if columns]
        self._pending |= {channel: Columns(channel) for channel, _ in taken}
        return taken

    def _start_open(self) -> None:
        """Start the open segment, once everything of the closing one is on disk."""
        if self._closing:
            self._closing.write()
            self._open.start(Header(self._closing.known, self._closing.id, self._closing.to_us))

    def rotate(self) -> Manifest:
        """Close every channel of the segment together, seal it, commit it; rows go on into the next.

        Raises: StorageError where the disk refuses; call it again, nothing is lost in between.
        """
        with self._retried():
            closing = self._closing or self._switch(final=False)
            self._start_open()
            return self._commit(closing)

    def close(self) -> Manifest:
        """Flush, seal and commit what is there, and let go of the collector's name.

        Returns: the last manifest, which says `final`. Raises: StorageError where the disk refuses; call it again.
        """
        while self._later or (self._closing and not self._closing.final):
            self.rotate()
        with self._retried():
            closing = self._closing or self._switch(final=True)
            closing.write()
            manifest = self._commit(closing)
        self._lock.release()
        return manifest

    def _switch(self, *, final: bool) -> _Segment:
        """Let the next segment take what is appended from now on; the one before closes."""
        with self._guard:
            closing, now_us = self._open, self._clock.capture_us()
            if now_us < closing.to_us and not self._later:
                closing.to_us = max(self._last_us + 1, closing.from_us + 1, now_us if final else 0)
            closing.final = self._is_closed = final
            closing.known = {channel: set(instruments) for channel, instruments in self._known.items()}
            taken = self._take()
            later, self._later = self._later, []
            self._closing, self._open = closing, self._new_segment(self._next_from(closing.to_us, later, now_us))
            self._last_us = 0
            for record in later:
                self._place(record)
        closing.unwritten += [(channel, columns.to_batch()) for channel, columns in taken]
        return closing

    def _next_from(self, to_us: int, later: list[Record], now_us: int) -> int:
        """Where the next segment begins: where this one ends, or where the clock has leapt to since."""
        earliest_us = min([now_us, *map(time_us, later)])
        if earliest_us - to_us < _LEAP_US:
            return to_us
        return boundary_before(earliest_us, self._ingestion.segment_max_seconds)

    def _commit(self, closing: _Segment) -> Manifest:
        closing.close()
        if closing.manifest is None:
            ending = Ending(closing.to_us, final=closing.final)
            closing.manifest = seal_segment(
                self._paths, closing.id, closing.form, closing.known, ending, self._ingestion
            )
        discard_journals(self._paths, closing.id, closing.form)
        self._closing = None
        return closing.manifest
