"""The dense view: a row at every instant of the grid, made from sparse silver rows (catalogue 3.3); no dataset.

Static columns are carried while the book is live, counts and sums of an empty bucket are 0, windows and ages are
computed anew at each instant and never carried.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fluxforge_assets.features.ages import Int64Array
from fluxforge_assets.features.books import Float64Array
from fluxforge_assets.features.catalogue import all_columns
from fluxforge_assets.features.frames import frame_of
from fluxforge_assets.features.past import stored_of
from fluxforge_assets.features.registry import AGE
from fluxforge_assets.features.rolling import rolling_values
from fluxforge_assets.features.rows import Rows
from fluxforge_assets.kernels.book_pass import MISSING
from fluxforge_assets.tables import Column, Kind, Merge
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

NEEDED = ("exchange", "symbol", "ts", "n_book", "last_book_ts")


def dense_view(silver: pl.DataFrame, *, options: FeatureOptions, from_us: int, to_us: int) -> pl.DataFrame:
    """A row at every grid time T with `from_us < T ≤ to_us`, in the columns `silver` has.

    Static columns: those of the last row with a book while T − last_book_ts ≤ max_gap, else null. Statistics of a
    bucket without a row: counts and sums 0, others null. Rolling columns and ages: computed at T.

    Args:
        silver: rows of one instrument; to be exact from the first instant, from `from_us` − 2·(largest horizon) −
            max_gap on.
        options: those `silver` was computed with.
        from_us: µs since the epoch.
        to_us: µs since the epoch; at most the watermark of `silver`.

    Raises: DataError where columns are missing, instruments are mixed or a `ts` occurs twice.
    """
    rows = _checked(silver, to_us)
    columns = [c for c in all_columns(options) if c.name in rows.columns]
    step = options.bucket_us
    wanted = np.arange(from_us // step, to_us // step, dtype=np.int64)
    view = _View(rows, wanted, options)
    values: dict[str, Any] = {c.name: view.column(c) for c in columns if c.kind in {Kind.STATIC, Kind.FLOW}}
    values |= {name: a.compute(view.ages, **b) for a in AGE for name, b in a.bindings(options).items()}
    try:
        values |= rolling_values(*stored_of(rows, options), 0, options, {c.name for c in columns}, at=wanted)
    except KeyError as error:
        raise DataError(
            f"the dense view needs the column {error.args[0]}, which these rows lack",
            "pass rows computed with the same options; `fluxforge backfill --stale` computes a lake's anew",
        ) from error
    for name in ("exchange", "symbol"):
        value = rows[name][0] if rows.height else None
        values[name] = pl.repeat(value, len(wanted), dtype=pl.String, eager=True)
    values["ts"] = view.ts
    return frame_of(columns, values)


class _View:
    """Silver rows seen from every instant wanted."""

    def __init__(self, rows: pl.DataFrame, wanted: Int64Array, options: FeatureOptions) -> None:
        self.rows = rows
        self.ts: Int64Array = (wanted + 1) * options.bucket_us
        self._options = options
        own = rows["ts"].to_numpy()
        self._last = np.searchsorted(own, self.ts, side="right") - 1
        self._is_row = (self._last >= 0) & (own[self._last] == self.ts) if len(own) else np.zeros(len(wanted), bool)
        self._has_trades = bool(rows.height) and "n_trade" in rows.columns and rows["n_trade"].null_count() == 0
        self._book = self._carried(rows["n_book"].to_numpy() > 0)
        book_ts = self._taken("last_book_ts", self._book)
        self._live = ~np.isnan(book_ts) & (self.ts - np.nan_to_num(book_ts) <= options.max_gap_us)
        self.ages = self._ages(book_ts)

    def column(self, column: Column) -> Float64Array:
        """Values of a static column or a statistic at every instant, NaN for null."""
        if column.kind is Kind.STATIC:
            return np.where(self._live, self._taken(column.name, self._book), np.nan)
        is_zero = column.merge is Merge.SUM or column.null in {"never", "no trades feed"}
        empty = 0.0 if is_zero and (self._has_trades or not column.trades) else np.nan
        return np.where(self._is_row, self._taken(column.name, self._last), empty)

    def _carried(self, chosen: npt.NDArray[np.bool_]) -> Int64Array:
        """The last chosen row at or before each instant, −1 where none."""
        last = np.maximum.accumulate(np.where(chosen, np.arange(len(chosen)), -1))
        return np.where(self._last >= 0, last[self._last], -1) if len(last) else np.full(len(self.ts), -1)

    def _taken(self, name: str, at: Int64Array) -> Float64Array:
        """A column's values at some rows, NaN where the row is −1 or null."""
        if not self.rows.height or name not in self.rows.columns:
            return np.full(len(at), np.nan)
        values = self.rows[name].cast(pl.Float64).to_numpy()
        return np.where(at >= 0, values[at], np.nan)

    def _ages(self, book_ts: Float64Array) -> Rows:
        """What the ages and seasons of each instant are computed from; there is no book in it."""
        trade = self._carried(~np.isnan(self._taken("trade_age_us", np.arange(self.rows.height))))
        trade_ts = self._taken("ts", trade) - self._taken("trade_age_us", trade)
        moved_ts = self.ts - self._taken("mid_age_us", np.where(self._is_row, self._last, -1))
        n_book = np.where(self._is_row, self._taken("n_book", self._last), 0.0)
        return Rows(
            self.ts // self._options.bucket_us - 1,
            {"n_book": n_book},
            np.where(n_book > 0, self._taken("lag_ms", self._last), np.nan),
            np.empty((4, 0, len(self.ts))),
            np.zeros((2, len(self.ts)), np.int64),
            _times(book_ts),
            _times(moved_ts),
            _times(trade_ts),
            self._options,
        )


def _times(us: Float64Array) -> Int64Array:
    """Times as integers, `MISSING` for NaN."""
    known = ~np.isnan(us)
    return np.where(known, np.nan_to_num(us), 0).astype(np.int64) + np.where(known, 0, MISSING)


def _checked(silver: pl.DataFrame, to_us: int) -> pl.DataFrame:
    """Rows up to an instant, ascending."""
    missing = [c for c in NEEDED if c not in silver.columns]
    if missing:
        raise DataError(
            f"the dense view needs the columns {', '.join(missing)}", "pass silver rows with families core or all"
        )
    rows = silver.filter(pl.col("ts") <= to_us).sort("ts")
    if rows["exchange"].n_unique() > 1 or rows["symbol"].n_unique() > 1:
        raise DataError("the dense view got rows of several instruments", "pass one instrument at a time")
    if rows["ts"].n_unique() < rows.height:
        raise DataError("the dense view got silver rows with the same ts", "read each part of a partition once")
    return rows
