"""Silver: one instrument's bronze rows to feature rows, in one pass of bounded memory.

This file is the order of the steps; what each computes is in a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fluxforge_assets.features.books import Books
from fluxforge_assets.features.catalogue import all_columns, silver_columns
from fluxforge_assets.features.events import (
    BOOK_COLUMNS,
    TRADE_COLUMNS,
    Frame,
    Instrument,
    as_table,
    batches_of,
    book_chunk,
    in_order,
    require_columns,
    trade_chunk,
)
from fluxforge_assets.features.frames import empty_frame, frame_of
from fluxforge_assets.features.gaps import channel_breaks
from fluxforge_assets.features.past import Past, past_of, stored_of
from fluxforge_assets.features.registry import AGE, STATIC
from fluxforge_assets.features.returns import return_products
from fluxforge_assets.features.rolling import rolling_values
from fluxforge_assets.features.rows import Rows
from fluxforge_assets.features.stream import rows_of
from fluxforge_assets.tables import Kind
from fluxforge_collector.config.features import FeatureOptions

Float64Array = npt.NDArray[np.float64]
Values = dict[str, Any]


def compute_silver(
    book: Frame,
    trades: Frame | None = None,
    gaps: Frame | None = None,
    *,
    options: FeatureOptions | None = None,
    watermark_us: int | None = None,
    from_us: int | None = None,
    history: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Silver rows of one instrument, final at the watermark, in the columns of `silver_columns(options)`.

    `book`, `trades`, `gaps`: bronze rows; without `trades` the feed counts as not collected and its columns are null.
    `watermark_us`: all events before it are present; only rows with ts ≤ it are returned (all without one).
    `from_us`: only rows with ts > it are returned. Events must reach back `options.lookback_us` before it, or with
    `history`, earlier silver rows, 2 · max_gap + Δ.

    Raises: DataError where a frame is not bronze, not one instrument's or without a definite order.
    """
    options = options or FeatureOptions()
    tables = {"book": as_table(book, "book")}
    require_columns(tables["book"], BOOK_COLUMNS, "book")
    if trades is not None:
        tables["trades"] = as_table(trades, "trades")
        require_columns(tables["trades"], TRADE_COLUMNS, "trades")
    ordered = {what: in_order(table, what) for what, table in tables.items()}
    frames = silver_frames(
        batches_of(ordered["book"]),
        batches_of(ordered["trades"]) if trades is not None else None,
        gaps,
        options=options,
        watermark_us=watermark_us,
        from_us=from_us,
        history=history,
    )
    found = list(frames)
    return pl.concat(found) if found else empty_frame(silver_columns(options))


def silver_frames(
    book_batches: Iterable[pa.RecordBatch],
    trades: Iterable[pa.RecordBatch] | None,
    gaps: Frame | None,
    *,
    options: FeatureOptions,
    watermark_us: int | None = None,
    from_us: int | None = None,
    history: pl.DataFrame | None = None,
) -> Iterator[pl.DataFrame]:
    """As `compute_silver`, from ascending batches and block by block; where batches are cut changes nothing.

    Raises: DataError where a batch is not bronze, not of the same instrument or not ascending.
    """
    columns = silver_columns(options)
    names = {column.name for column in columns}
    instrument = Instrument()
    parts = rows_of(
        (book_chunk(batch) for batch in instrument.checked(book_batches, "book")),
        None if trades is None else (trade_chunk(batch) for batch in instrument.checked(trades, "trades")),
        channel_breaks(gaps, options),
        options,
        has_changes="bid_add" in names,
        has_resilience="rs_mx" in names,
    )
    if from_us is None and history is not None and not history.is_empty():
        from_us = int(history["ts"].max())  # type: ignore[arg-type]
    past = past_of(history, options, from_us)
    first_us = from_us if history is not None else None
    for part in parts:
        rows = _between(part, first_us, watermark_us)
        skipped = 0 if from_us is None else int(np.searchsorted(rows.ts, from_us, "right"))
        values = _values(rows, past, names) if len(rows) else {}
        if skipped < len(rows):
            values |= instrument.key(len(rows)) | {"ts": rows.ts}
            frame = frame_of(columns, {name: values[name][skipped:] for name in names})
            # Whoever takes the frame needs the memory of what it was made from.
            del part, rows, values
            yield frame
            del frame


def add_rolling(silver: pl.DataFrame, *, options: FeatureOptions, families: Iterable[str]) -> pl.DataFrame:
    """Stored silver rows of one instrument with the rolling columns of `families`, computed from their statistics.

    Raises: DataError where a statistic that a family merges is not stored.
    """
    wanted = [
        column
        for column in all_columns(options)
        if column.kind is Kind.ROLLING and column.family in set(families) and column.name not in silver.columns
    ]
    rows = silver.sort("ts")
    values = rolling_values(*stored_of(rows, options), 0, options, {column.name for column in wanted})
    return pl.concat([rows, frame_of(wanted, values)], how="horizontal")


def _values(rows: Rows, past: Past, names: set[str]) -> Values:
    """Every column of the rows but their key; the rows become the past of the next block."""
    options = rows.options
    books = _books(rows)
    own = slice(0, len(rows))
    values: Values = {}
    for declared in STATIC:
        for name, binding in declared.bindings(options).items():
            if name in names:
                values[name] = declared.compute(books, **binding)[own]
    for declared in AGE:
        for name in declared.bindings(options):
            if name in names:
                values[name] = declared.compute(rows)
    inputs = _stored(rows, names) | {"mid": books.mid[own], "spread_bps": books.spread_bps[own]}
    inputs |= _products(rows, past)
    bucket, merged = past.joined(rows.bucket, inputs)
    values |= inputs
    values |= rolling_values(bucket, merged, len(bucket) - len(rows), options, names)
    past.keep(bucket, merged)
    return values


def _books(rows: Rows) -> Books:
    """The rows' books; a single row twice, since NumPy adds the levels of one row in another order than of several."""
    levels, counts = rows.books, rows.counts
    if len(rows) == 1:
        levels, counts = np.repeat(levels, 2, axis=-1), np.repeat(counts, 2, axis=-1)
    bid_price, bid_size, ask_price, ask_size = (np.ascontiguousarray(part) for part in levels)
    return Books(bid_price, bid_size, ask_price, ask_size, counts[0], counts[1], rows.options)


def _stored(rows: Rows, names: set[str]) -> dict[str, Float64Array]:
    """The statistics of the rows which are stored."""
    return {name: array for name, array in rows.statistics.items() if name in names}


def _products(rows: Rows, past: Past) -> dict[str, Float64Array]:
    """Products of the rows' returns with those before them."""
    earlier = past.values.get("log_ret", np.empty(0))
    bucket = np.concatenate([past.bucket, rows.bucket])
    log_ret = np.concatenate([earlier, rows.statistics["log_ret"]])
    return return_products(bucket, log_ret, len(past.bucket), rows.options.vr_q - 1)


def _between(rows: Rows, after_us: int | None, watermark_us: int | None) -> Rows:
    """The rows with ts after one instant and not after the other."""
    start = 0 if after_us is None else int(np.searchsorted(rows.ts, after_us, "right"))
    stop = len(rows) if watermark_us is None else int(np.searchsorted(rows.ts, watermark_us, "right"))
    return rows if (start, stop) == (0, len(rows)) else rows.cut(slice(start, max(start, stop)))
