"""Reading bronze: what is asked of one instrument's channel in a range of capture time. Files: `bronze_rows`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_assets.lake import bronze_rows
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_rows import instant, rows_of
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.names import SegmentName

BATCH_ROWS = 16_384
REPEAT_US = 3_600_000_000
"""A trade whose id was seen within this span of capture time before is the same trade, sent again."""

_CAPTURE = pa.timestamp("us", tz="UTC")


def book_batches(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> Iterator[pa.RecordBatch]:
    """Order book rows captured in `[from_us, to_us)`, in order, a batch at a time."""
    return bronze_rows.batches(archive, Channel.ORDERBOOK, instrument, from_us, to_us)


def ticker_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Tickers captured in `[from_us, to_us)`, in order."""
    return _table(archive, Channel.TICKER, instrument, from_us, to_us)


def trade_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Trades captured in `[from_us, to_us)`, in order, each once.

    A trade fetched again after a gap, or sent again on a new subscription, repeats its id. It is left out where the
    id was captured within `REPEAT_US` before: a rule that looks back a bounded span, so any range gives the same rows.
    """
    names = ["exchange", "symbol", "capture_ts", "trade_id", "seq"]
    table = _table(archive, Channel.TRADES, instrument, from_us, to_us)
    earlier = _table(archive, Channel.TRADES, instrument, from_us - REPEAT_US, from_us, names=names)
    before = pl.col("capture_ts").shift(1).over("trade_id")
    is_repeat = pl.col("trade_id").is_not_null() & (
        pl.col("capture_ts") - before <= pl.duration(microseconds=REPEAT_US)
    ).fill_null(value=False)
    keys = pl.DataFrame(pa.concat_tables([t.select(["trade_id", "capture_ts"]) for t in (earlier, table)]))
    repeats = keys.select(is_repeat).to_series().slice(earlier.num_rows)
    return table.filter(pc.invert(repeats.to_arrow()))


def gap_table(archive: Archive, instrument: Instrument, from_us: int, to_us: int) -> pa.Table:
    """Gaps of the instrument that touch `[from_us, to_us)`, and holes between segments.

    A hole, such as a segment in quarantine leaves, counts as a gap of all channels.
    """
    names = archive.between(from_us, to_us)
    table = standing(rows_of(archive, Channel.GAPS, instrument, names))
    bringers = {n.collector for n in names if archive.brings(n, instrument.key)}
    holes = archive.holes(n for n in names if n.collector in bringers)
    made = [
        {
            "exchange": instrument.exchange, "symbol": instrument.symbol, "channel": "all", "gap_start": start,
            "gap_end": end, "reason": "missing_segment", "lost": None, "detail": None, "seq": 0,
        }
        for start, end in holes
    ]  # fmt: skip
    table = pa.concat_tables([table, pa.Table.from_pylist(made, schema=table.schema)])
    wanted = pc.and_(pc.greater_equal(table["gap_end"], instant(from_us)), pc.less(table["gap_start"], instant(to_us)))
    return table.filter(wanted)


def standing(gaps: pa.Table) -> pa.Table:
    """An instrument's gap rows that hold.

    A row that has lost 0 takes back those of its channel and reason within its span: what was missing came after all.
    """
    rows = pl.DataFrame(gaps)
    is_taken_back = rows["lost"] == 0
    for span in rows.filter(is_taken_back).iter_rows(named=True):
        is_within = (rows["gap_start"] >= span["gap_start"]) & (rows["gap_end"] <= span["gap_end"])
        is_taken_back |= is_within & (rows["channel"] == span["channel"]) & (rows["reason"] == span["reason"])
    return gaps.filter(pc.invert(is_taken_back.fill_null(value=False).to_arrow()))


def earliest_gap_us(archive: Archive, instrument: Instrument, names: Sequence[SegmentName]) -> int | None:
    """Where the earliest gap told of, or taken back, in these segments begins; None where there is none."""
    rows = rows_of(archive, Channel.GAPS, instrument, names)
    return pc.min(rows["gap_start"]).cast(pa.int64()).as_py() if rows.num_rows else None


def _table(
    archive: Archive,
    channel: Channel,
    instrument: Instrument,
    from_us: int,
    to_us: int,
    *,
    names: Sequence[str] | None = None,
) -> pa.Table:
    schema = plain_schema(channel, names)
    found = bronze_rows.batches(archive, channel, instrument, from_us, to_us, schema=schema)
    return pa.Table.from_batches(found, schema=schema)
