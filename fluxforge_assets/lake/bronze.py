"""Reading bronze: one instrument's rows of a channel in a range of capture time, from landed segments.

Files are chosen by name, row groups by their statistics, so one instrument reads little more than its own bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_assets.lake.archive import Archive
from fluxforge_collector.errors import DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE
from fluxforge_collector.segments.names import SegmentName

BATCH_ROWS = 16_384
REPEAT_US = 3_600_000_000
"""A trade whose id was seen within this span of capture time before is the same trade, sent again."""

_CAPTURE = pa.timestamp("us", tz="UTC")


def book_batches(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> Iterator[pa.RecordBatch]:
    """Order book rows captured in `[from_us, to_us)`, in order, a batch at a time."""
    return _batches(archive, Channel.ORDERBOOK, instrument, from_us, to_us)


def ticker_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Tickers captured in `[from_us, to_us)`, in order."""
    return _table(archive, Channel.TICKER, instrument, from_us, to_us)


def trade_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Trades captured in `[from_us, to_us)`, in order, each once.

    A trade fetched again after a gap, or sent again on a new subscription, repeats its id. It is left out where the
    id was captured within `REPEAT_US` before: a rule that looks back a bounded span, so any range gives the same rows.
    """
    table = _table(archive, Channel.TRADES, instrument, from_us - REPEAT_US, to_us)
    before = pl.col("capture_ts").shift(1).over("trade_id")
    is_repeat = pl.col("trade_id").is_not_null() & (
        pl.col("capture_ts") - before <= pl.duration(microseconds=REPEAT_US)
    ).fill_null(value=False)
    keys = pl.from_arrow(table.select(["trade_id", "capture_ts"]))
    repeats = keys.select(is_repeat).to_series() if isinstance(keys, pl.DataFrame) else pl.Series([], dtype=pl.Boolean)
    wanted = pc.and_(pc.invert(repeats.to_arrow()), pc.greater_equal(table["capture_ts"], _instant(from_us)))
    return table.filter(wanted)


def gap_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Gaps of the instrument ending after `from_us`, of segments beginning before `to_us`, and holes between segments.

    A hole, such as a segment in quarantine leaves, counts as a gap of all channels.
    """
    names = archive.between(from_us, to_us)
    rows = [_rows(archive, name, Channel.GAPS, instrument) for name in names]
    table = pa.concat_tables([_schema(Channel.GAPS).empty_table(), *rows])
    bringers = {n.collector for n in names if instrument.key in archive.instruments([n])}
    holes = archive.holes(n for n in names if n.collector in bringers)
    made = [
        {
            "exchange": instrument.exchange, "symbol": instrument.symbol, "channel": "all", "gap_start": start,
            "gap_end": end, "reason": "missing_segment", "lost": None, "detail": None, "seq": 0,
        }
        for start, end in holes
    ]  # fmt: skip
    table = pa.concat_tables([table, pa.Table.from_pylist(made, schema=table.schema)])
    return table.filter(pc.greater_equal(table["gap_end"], _instant(from_us)))


def earliest_gap_us(archive: Archive, instrument: Instrument, names: Sequence[SegmentName]) -> int | None:
    """Where the earliest gap told of in these segments begins; None where they tell of none."""
    starts = [
        pc.min(rows["gap_start"]).cast(pa.int64()).as_py()
        for name in names
        if (rows := _rows(archive, name, Channel.GAPS, instrument)).num_rows
    ]
    return min(starts, default=None)


def _schema(channel: Channel) -> pa.Schema:
    """The channel's schema with plain strings."""
    return pa.schema([f.with_type(_plain(f.type)) for f in BRONZE[channel]])


def _plain(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def _instant(time_us: int) -> pa.Scalar:
    return pa.scalar(time_us, _CAPTURE)


def _table(archive: Archive, channel: Channel, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    batches = _batches(archive, channel, instrument, from_us, to_us)
    return pa.Table.from_batches(batches, schema=_schema(channel))


def _batches(
    archive: Archive, channel: Channel, instrument: Instrument, from_us: int, to_us: int
) -> Iterator[pa.RecordBatch]:
    """Batches in order of capture; where several collectors bring the instrument, their rows are sorted together."""
    names = [n for n in archive.between(from_us, to_us) if instrument.key in _keys(archive, n, channel)]
    if len({name.collector for name in names}) <= 1:
        for name in names:
            yield from _of_segment(archive, name, channel, instrument, from_us, to_us)
        return
    parts = [b for name in names for b in _of_segment(archive, name, channel, instrument, from_us, to_us)]
    table = pa.Table.from_batches(parts, schema=_schema(channel))
    yield from table.sort_by([("capture_ts", "ascending"), ("seq", "ascending")]).to_batches(BATCH_ROWS)


def _keys(archive: Archive, name: SegmentName, channel: Channel) -> set[str]:
    entry = archive.manifest(name).channels.get(channel)
    return set(entry.instruments) if entry else set()


def _rows(archive: Archive, name: SegmentName, channel: Channel, instrument: Instrument) -> pa.Table:
    """All rows of an instrument in one segment."""
    entry = archive.manifest(name).channels.get(channel)
    batches = _of_segment(archive, name, channel, instrument, None, None) if entry and entry.file else iter(())
    return pa.Table.from_batches(batches, schema=_schema(channel))


def _of_segment(
    archive: Archive,
    name: SegmentName,
    channel: Channel,
    instrument: Instrument,
    from_us: int | None,
    to_us: int | None,
) -> Iterator[pa.RecordBatch]:
    """An instrument's rows of one file, in the range where one is given. Raises: DataError where it cannot be read."""
    path = archive.paths.archive_file(channel, name.date, name.id)
    schema = _schema(channel)
    try:
        with pq.ParquetFile(path) as file:
            groups = _groups(file.metadata, instrument, from_us, to_us)
            for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, columns=schema.names) if groups else ():
                plain = pa.RecordBatch.from_arrays(
                    [column.cast(f.type) for column, f in zip(batch.columns, schema, strict=True)], schema=schema
                )
                wanted = pc.and_(
                    pc.equal(plain["exchange"], instrument.exchange), pc.equal(plain["symbol"], instrument.symbol)
                )
                if from_us is not None and to_us is not None:
                    in_range = pc.and_(
                        pc.greater_equal(plain["capture_ts"], _instant(from_us)),
                        pc.less(plain["capture_ts"], _instant(to_us)),
                    )
                    wanted = pc.and_(wanted, in_range)
                kept = plain if pc.all(wanted).as_py() else plain.filter(wanted)
                if kept.num_rows:
                    yield kept
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"bronze file {path} cannot be read: {error}", "restore it from a copy, then materialise the date again"
        ) from error


def _groups(metadata: pq.FileMetaData, instrument: Instrument, from_us: int | None, to_us: int | None) -> list[int]:
    """Row groups that may hold rows of the instrument in the range; one without statistics may."""
    index = {metadata.schema.column(i).path: i for i in range(len(metadata.schema))}

    def may(group: int, column: str, least: Any, most: Any) -> bool:
        if column not in index or least is None:
            return True
        known = metadata.row_group(group).column(index[column]).statistics
        return known is None or not known.has_min_max or (known.min <= most and known.max >= least)

    low = _instant(from_us).as_py() if from_us is not None else None
    high = _instant(to_us).as_py() if to_us is not None else None
    return [
        group
        for group in range(metadata.num_row_groups)
        if may(group, "exchange", instrument.exchange, instrument.exchange)
        and may(group, "symbol", instrument.symbol, instrument.symbol)
        and may(group, "capture_ts", low, high)
    ]
