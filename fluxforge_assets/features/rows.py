"""Silver rows from closed buckets: which exist, and their stored statistics under the names of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fluxforge_assets.features.statistics import statistics
from fluxforge_assets.kernels import book_pass, trade_pass
from fluxforge_assets.kernels.book_pass import MISSING
from fluxforge_collector.config.features import FeatureOptions

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows ascending by bucket. NaN is null; `books` is (4, M, n): bid price, bid size, ask price, ask size.

    Times are of the last valid event before the row's end, in any bucket; `MISSING` where there was none.
    """

    bucket: Int64Array
    statistics: dict[str, Float64Array]
    lag_ms: Float64Array
    books: Float64Array
    counts: Int64Array
    book_ts: Int64Array
    moved_ts: Int64Array
    trade_ts: Int64Array
    options: FeatureOptions

    def __len__(self) -> int:
        return len(self.bucket)

    @property
    def ts(self) -> Int64Array:
        """End of each row's bucket, µs."""
        return (self.bucket + 1) * self.options.bucket_us

    def cut(self, chosen: slice) -> Rows:
        """The chosen rows."""
        return Rows(
            self.bucket[chosen],
            {name: values[chosen] for name, values in self.statistics.items()},
            self.lag_ms[chosen],
            self.books[..., chosen],
            self.counts[..., chosen],
            self.book_ts[chosen],
            self.moved_ts[chosen],
            self.trade_ts[chosen],
            self.options,
        )


@dataclass(slots=True)
class LastSeen:
    """The last valid events before the next rows, µs."""

    book_ts: int = int(MISSING)
    trade_ts: int = int(MISSING)


def build_rows(
    books: book_pass.Closed, trades: trade_pass.Closed | None, seen: LastSeen, options: FeatureOptions
) -> Rows:
    """Join the buckets of both channels. A row exists where a valid book or a valid trade does (catalogue 3.2)."""
    buckets = books.bucket if trades is None else np.union1d(books.bucket, trades.bucket)
    at = np.searchsorted(buckets, books.bucket)
    n = len(buckets)
    values = _spread(books.values, at, n, 0.0)
    flow = _spread(books.flow, at, n, 0.0)
    book_ts = _carried(_spread(books.valid_ts, at, n, MISSING), seen.book_ts)
    exists = values[book_pass.N_BOOK] > 0
    trade_ts = np.full(n, MISSING)
    trade_values = np.full((len(trade_pass.FIELDS), n), np.nan)
    if trades is not None:
        trade_at = np.searchsorted(buckets, trades.bucket)
        trade_ts = _carried(_spread(trades.last_ts, trade_at, n, MISSING), seen.trade_ts)
        trade_values = _spread(trades.values, trade_at, n, 0.0)
        trade_values[trade_pass.FIRST : trade_pass.LAST + 1, trade_values[trade_pass.N_TRADE] == 0] = np.nan
        trade_values[trade_pass.DUR_MEAN : trade_pass.DUR_M2 + 1, trade_values[trade_pass.DUR_N] == 0] = np.nan
        exists |= trade_values[trade_pass.N_TRADE] > 0
    if n:
        seen.book_ts, seen.trade_ts = int(book_ts[-1]), int(trade_ts[-1]) if trades is not None else seen.trade_ts
    _set_nulls(values, flow)
    # Most blocks hold rows only: then nothing is copied.
    kept = slice(None) if exists.all() else np.flatnonzero(exists)
    named = dict(zip(book_pass.FIELDS, values[:, kept], strict=True))
    named |= dict(zip(trade_pass.FIELDS, trade_values[:, kept], strict=True))
    named |= {f"ofi_l{k}": row for k, row in enumerate(flow[:, kept])}
    last_book = book_ts[kept].astype(np.float64)
    last_book[named["n_book"] == 0] = np.nan
    named["last_book_ts"] = last_book
    top = f"imb_top{min(5, options.max_levels)}"
    named[f"{top}_mean"], named[f"{top}_m2"] = named.pop("imb_top_mean"), named.pop("imb_top_m2")
    return Rows(
        buckets[kept],
        {c.name: named[c.name] for c in statistics(options) if c.name in named},
        named["lag_ms"],
        _spread(books.books, at, n, np.nan)[..., kept],
        _spread(books.counts, at, n, 0)[..., kept],
        book_ts[kept],
        _spread(books.moved_ts, at, n, MISSING)[kept],
        trade_ts[kept],
        options,
    )


def _set_nulls(values: Float64Array, flow: Float64Array) -> None:
    """Null what no event of the bucket defined."""
    p = book_pass
    no_book = values[p.N_BOOK] == 0
    no_lag = values[p.LAG_N] == 0
    no_pair = values[p.N_PAIR] == 0
    values[p.MID_FIRST : p.DEPTH_LK + 1, no_book] = np.nan
    values[p.LAST_LAG, no_book] = np.nan
    values[p.LAG : p.LAG_MAX + 1, no_lag] = np.nan
    flow[:, no_pair] = np.nan
    for first, last in ((p.LOG_RET, p.TICK_RV), (p.OF_BID, p.ASK_REM), (p.RS_MX, p.RD_CXY)):
        values[first : last + 1, no_pair] = np.nan


def _spread(values: np.ndarray, at: Int64Array, n: int, fill: float) -> np.ndarray:
    """Values of some buckets among all n."""
    if len(at) == n:
        return values
    out = np.full((*values.shape[:-1], n), fill, values.dtype)
    out[..., at] = values
    return out


def _carried(ts: Int64Array, before: int) -> Int64Array:
    """The latest time so far, starting from the one before the rows."""
    return np.maximum.accumulate(np.maximum(ts, before)) if len(ts) else ts
