"""What labels and gold read from silver: one instrument's rows, checked; the as-of mid; sums over windows of rows.

No gold value is defined here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from fluxforge_assets.features.quality import KEY
from fluxforge_assets.tables import Column
from fluxforge_collector.errors import DataError

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

MICROSECONDS = 1_000_000
DAY_US = 86_400 * MICROSECONDS


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time; formatted, the suffix it gives a column: `5s`, `500ms`, `250us`."""

    us: int

    def __str__(self) -> str:
        if self.us % MICROSECONDS == 0:
            return f"{self.us // MICROSECONDS}s"
        return f"{self.us // 1000}ms" if self.us % 1000 == 0 else f"{self.us}us"


def span(seconds: float) -> Span:
    """The span of an option that counts seconds."""
    return Span(round(seconds * MICROSECONDS))


def require(silver: pl.DataFrame, needed: Iterable[str], purpose: str) -> pl.DataFrame:
    """One instrument's rows with the needed columns, ascending in `ts`.

    Raises: DataError where a column is missing, instruments are mixed, or a `ts` occurs twice.
    """
    wanted = [c.name for c in KEY] + [n for n in needed if n not in {"exchange", "symbol", "ts"}]
    missing = [name for name in wanted if name not in silver.columns]
    if missing:
        raise DataError(
            f"{purpose} needs the silver columns {', '.join(missing)}",
            "compute silver with families: core or all, and the same levels",
        )
    rows = silver.select(wanted).sort("ts")
    if rows.height and (rows["exchange"].n_unique() > 1 or rows["symbol"].n_unique() > 1):
        raise DataError(f"{purpose} got rows of several instruments", "pass one instrument at a time")
    if rows["ts"].n_unique() < rows.height:
        raise DataError(f"{purpose} got silver rows with the same ts", "read each part of a partition once")
    return rows


def numbers(frame: pl.DataFrame, name: str) -> Float64Array:
    """A column as float64, null as NaN."""
    return frame[name].cast(pl.Float64).to_numpy()


def whole(frame: pl.DataFrame, name: str) -> Int64Array:
    """A column without nulls as int64."""
    return frame[name].cast(pl.Int64).to_numpy()


@dataclass(frozen=True, slots=True)
class Mids:
    """The mid as it was known at any time (catalogue 10.1); rows with a valid book, ascending."""

    ts: Int64Array
    mid: Float64Array
    last_book_us: Int64Array

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Mids:
        """From silver rows with `ts, n_book, mid, last_book_ts`."""
        live = rows.filter(pl.col("n_book") >= 1)
        return cls(whole(live, "ts"), numbers(live, "mid"), whole(live, "last_book_ts"))

    def at(self, times_us: Int64Array, max_age_us: int) -> Float64Array:
        """The mid of the last row with ts ≤ t; NaN before the first, or where its book is older than `max_age_us`."""
        if not len(self.ts):
            return np.full(len(times_us), np.nan)
        last = np.searchsorted(self.ts, times_us, side="right") - 1
        known = last >= 0
        row = np.where(known, last, 0)
        live = known & (times_us - self.last_book_us[row] <= max_age_us)
        return np.where(live, self.mid[row], np.nan)


def window_sums(values: Float64Array, first: Int64Array, stop: Int64Array) -> Float64Array:
    """Sums of `values[first:stop]`, one per window; shape of `first`.

    Each window is added up as a fixed tree of blocks of 2^k rows counted from its own first row, so what lies outside
    it changes nothing, and nothing is subtracted.
    """
    total = np.zeros(len(first))
    at = first.copy()
    rows = stop - first
    blocks, size = values, 1
    longest = int(rows.max(initial=0))
    while size <= longest:
        odd = (rows & size) != 0
        total[odd] += blocks[at[odd]]
        at[odd] += size
        blocks = blocks[:-size] + blocks[size:]
        size *= 2
    return total


def as_table(
    rows: pl.DataFrame, values: Mapping[str, npt.NDArray[np.generic]], columns: Sequence[Column]
) -> pl.DataFrame:
    """The key columns of `rows` beside computed values, in the declared order and types; NaN becomes null."""
    frame = rows.select(c.name for c in KEY).with_columns(pl.Series(name, array) for name, array in values.items())
    return frame.select(
        (pl.col(c.name).fill_nan(None) if frame.schema[c.name].is_float() else pl.col(c.name)).cast(c.dtype.polars)
        for c in columns
    )
