"""The rows of one instrument in bronze files, in order, wherever they stand: files per segment or compacted ones.

Row groups are chosen by their statistics, so one instrument reads little more than its own bytes. Compaction may
exchange files while they are read: reading then goes on where it was, in the files that stand there now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_files import ATTEMPTS
from fluxforge_assets.lake.kept import between
from fluxforge_assets.lake.merging import merge
from fluxforge_collector.errors import DataError, SegmentError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import order_of, plain_schema
from fluxforge_collector.segments.names import SegmentName, segment_of_file
from fluxforge_collector.segments.sealed import read_rows
from fluxforge_collector.storage.bucket import LakePath, refusal

_CAPTURE = pa.timestamp("us", tz="UTC")


def instant(time_us: int) -> pa.Scalar:
    """Microseconds since the epoch as a capture time."""
    return pa.scalar(time_us, _CAPTURE)


def batches(
    archive: Archive,
    channel: Channel,
    instrument: Instrument,
    from_us: int,
    to_us: int,
    *,
    schema: pa.Schema | None = None,
) -> Iterator[pa.RecordBatch]:
    """Rows captured in `[from_us, to_us)`, in order, in `schema` if it is not the channel's whole one.

    Raises: DataError where a file cannot be read.
    """
    schema = schema or plain_schema(channel)
    at_us, seen = from_us, 0  # how many of the rows captured at that instant were given out
    for _ in range(ATTEMPTS):
        skip = seen
        try:
            names = [n for n in archive.between(from_us, to_us) if _has_rows(archive, n, channel, instrument)]
            streams = _streams(archive, channel, instrument, names, (at_us, to_us), schema)
            for batch in merge(streams, order_of(channel)):
                fresh = batch.slice(min(skip, batch.num_rows))
                skip -= batch.num_rows - fresh.num_rows
                if fresh.num_rows:
                    newest = fresh["capture_ts"][-1]
                    count = pc.sum(pc.equal(fresh["capture_ts"], newest)).as_py()
                    newest_us = newest.cast(pa.int64()).as_py()
                    at_us, seen = newest_us, count + (seen if newest_us == at_us else 0)
                    yield fresh
        except FileNotFoundError:
            archive.forget_files()
        else:
            return
    raise _vanishing(channel, instrument)


def rows_of(archive: Archive, channel: Channel, instrument: Instrument, names: Sequence[SegmentName]) -> pa.Table:
    """All the instrument's rows in these segments, and in compacted files that they share with others."""
    mine = [n for n in names if _has_rows(archive, n, channel, instrument)]
    schema = plain_schema(channel)
    for _ in range(ATTEMPTS):
        try:
            parts = [b for stream in _streams(archive, channel, instrument, mine, None, schema) for b in stream]
        except FileNotFoundError:
            archive.forget_files()
        else:
            return pa.Table.from_batches(parts, schema=schema)
    raise _vanishing(channel, instrument)


def _streams(
    archive: Archive,
    channel: Channel,
    instrument: Instrument,
    names: Iterable[SegmentName],
    span: tuple[int, int] | None,
    schema: pa.Schema,
) -> list[Iterator[pa.RecordBatch]]:
    """A sorted stream per collector, per segment with late rows and per compaction.

    Raises: DataError where a segment's rows are nowhere.
    """
    chains: dict[tuple[str, ...], list[Iterator[pa.RecordBatch]]] = {}
    for name in names:
        files = archive.files(channel, name.date)
        if name.id in files.own:
            is_late = archive.manifest(name).channels[channel].instruments[instrument.key].first_us < name.start_us
            streams = chains.setdefault((name.collector, name.id) if is_late else (name.collector,), [])
            streams.append(_of_segment(archive, files.own[name.id], instrument, span, schema))
        elif name.id in files.covered:
            run = files.covered[name.id]
            compacted = [_of_file(file, instrument, span, schema) for file in files.compacted[run]]
            chains.setdefault((name.date, run), compacted)
        else:
            raise DataError(
                f"bronze file {archive.paths.archive_file(channel, name.date, name.id)} is not there",
                "restore it from a copy, then materialise the date again; retention may have deleted it",
            )
    return [chain.from_iterable(streams) for streams in chains.values()]


def _of_segment(
    archive: Archive, path: LakePath, instrument: Instrument, span: tuple[int, int] | None, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """An instrument's rows of a segment's own file, from memory where the archive keeps it."""
    if archive.kept is None or span is None:
        yield from _of_file(path, instrument, span, schema)
        return
    with _read_errors(path):
        rows = archive.kept.rows(path, schema, instrument)
    if rows is None:
        yield from _of_file(path, instrument, span, schema)
        return
    for batch in rows:
        wanted = between(batch, *span)
        if wanted.num_rows:
            yield wanted


def _of_file(
    path: LakePath, instrument: Instrument, span: tuple[int, int] | None, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """An instrument's rows of one file, in the range where one is given. Raises: DataError where it cannot be read."""
    with _read_errors(path):
        for plain in read_rows(path, schema, choose=partial(_groups, instrument=instrument, span=span)):
            wanted = pc.and_(
                pc.equal(plain["exchange"], instrument.exchange), pc.equal(plain["symbol"], instrument.symbol)
            )
            if span is not None:
                in_range = pc.and_(
                    pc.greater_equal(plain["capture_ts"], instant(span[0])),
                    pc.less(plain["capture_ts"], instant(span[1])),
                )
                wanted = pc.and_(wanted, in_range)
            kept = plain if pc.all(wanted).as_py() else plain.filter(wanted)
            if kept.num_rows:
                yield kept


@contextmanager
def _read_errors(path: LakePath) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, DataError) as error:
        if refused := refusal(error):
            raise refused from error
        said = f"bronze file {path} cannot be read: {error}"
        remedy = "restore it from a copy, then materialise the date again"
        if getattr(error, "errno", None) is None and path.name.startswith("segment_"):
            raise SegmentError(said, remedy, segment_of_file(path.name).id) from error
        raise DataError(said, remedy) from error  # the disk refuses, or a compacted file holds a whole day


def _has_rows(archive: Archive, name: SegmentName, channel: Channel, instrument: Instrument) -> bool:
    entry = archive.manifest(name).channels.get(channel)
    return entry is not None and instrument.key in entry.instruments


def _vanishing(channel: Channel, instrument: Instrument) -> DataError:
    return DataError(
        f"bronze files of {channel} of {instrument.key} kept vanishing", "try again when no compaction is running"
    )


def _groups(metadata: pq.FileMetaData, *, instrument: Instrument, span: tuple[int, int] | None) -> list[int]:
    """Row groups that may hold rows of the instrument in the range; one without statistics may."""
    index = {metadata.schema.column(i).path: i for i in range(len(metadata.schema))}

    def may(group: int, column: str, least: Any, most: Any) -> bool:
        if column not in index or least is None:
            return True
        known = metadata.row_group(group).column(index[column]).statistics
        return known is None or not known.has_min_max or (known.min <= most and known.max >= least)

    low, high = (instant(time_us).as_py() for time_us in span) if span is not None else (None, None)
    return [
        group
        for group in range(metadata.num_row_groups)
        if may(group, "exchange", instrument.exchange, instrument.exchange)
        and may(group, "symbol", instrument.symbol, instrument.symbol)
        and may(group, "capture_ts", low, high)
    ]
