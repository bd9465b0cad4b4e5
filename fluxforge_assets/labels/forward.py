"""The labels themselves, one declared function each (catalogue 10). Which rows they stand in is `table`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import polars as pl

from fluxforge_assets.gold.rows import Float64Array, Int64Array, Mids, Span, numbers, span, whole, window_sums
from fluxforge_assets.tables import Binding, Feature, Kind, feature
from fluxforge_collector.config.features import FeatureOptions

LABELS: list[Feature] = []
NEEDED = (
    "n_book", "n_pair", "mid", "last_book_ts", "log_ret", "buy_vol", "sell_vol", "buy_qvol", "sell_qvol",
)  # fmt: skip
BPS = 1e4


def label_horizons(options: FeatureOptions) -> Iterable[Binding]:
    """Every label horizon."""
    return ({"h": span(h)} for h in options.label_horizons)


def volatility_horizons(options: FeatureOptions) -> Iterable[Binding]:
    """The label horizons of at least five buckets."""
    return ({"h": span(h)} for h in options.label_horizons if span(h).us >= 5 * options.bucket_us)


def spread_horizons(options: FeatureOptions) -> Iterable[Binding]:
    """The horizons of the realised spread."""
    return ({"h": span(h)} for h in options.rs_horizons)


class Future:
    """What came after each row of one instrument, as far as the watermark; arrays have one value per row."""

    def __init__(self, rows: pl.DataFrame, options: FeatureOptions, watermark_us: int) -> None:
        self.rows = rows
        self.max_gap_us = options.max_gap_us
        self.lag_us = span(options.label_lag).us
        self.watermark_us = watermark_us
        self.ts: Int64Array = whole(rows, "ts")
        self._mids = Mids.of(rows)
        self._mid_after: dict[int, Float64Array] = {}

    def mid_after(self, offset_us: int) -> Float64Array:
        """The as-of mid at T + offset; NaN where that is past the watermark or the book was not live."""
        if offset_us not in self._mid_after:
            times = self.ts + offset_us
            mid = self._mids.at(times, self.max_gap_us)
            self._mid_after[offset_us] = np.where(times <= self.watermark_us, mid, np.nan)
        return self._mid_after[offset_us]

    @cached_property
    def observed(self) -> tuple[Int64Array, Float64Array]:
        """Times and squared returns of the rows in which a return was observed."""
        seen = self.rows.filter(pl.col("n_pair") >= 1)
        return whole(seen, "ts"), numbers(seen, "log_ret") ** 2

    @cached_property
    def signed(self) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Buy minus sell value [quote], buy minus sell volume, buy plus sell volume [base] of each row's bucket."""
        buy, sell = numbers(self.rows, "buy_vol"), numbers(self.rows, "sell_vol")
        return numbers(self.rows, "buy_qvol") - numbers(self.rows, "sell_qvol"), buy - sell, buy + sell


@feature(
    LABELS,
    "fwd_ret_{h}",
    family="label",
    kind=Kind.LABEL,
    unit="1",
    null="a mid at either end is not live, or T+lag+h is past the watermark",
    formula="ln(mid(T+lag+h) / mid(T+lag))",
    over=label_horizons,
)
def fwd_ret(future: Future, h: Span) -> Float64Array:
    """Looks ahead: log-return of the mid over the next h."""
    return np.log(future.mid_after(future.lag_us + h.us) / future.mid_after(future.lag_us))


@feature(
    LABELS,
    "fwd_rvol_{h}",
    family="label",
    kind=Kind.LABEL,
    unit="1",
    null="fwd_ret is null, or no row with an observed return in the window",
    formula="sqrt(Σ r²) over rows with ts in (T+lag, T+lag+h]",
    source="Andersen, Bollerslev, Diebold & Labys 2003",
    over=volatility_horizons,
)
def fwd_rvol(future: Future, h: Span) -> Float64Array:
    """Looks ahead: realised volatility of the next h; not demeaned, not annualised."""
    ts, squares = future.observed
    start = future.ts + future.lag_us
    first, stop = np.searchsorted(ts, start, side="right"), np.searchsorted(ts, start + h.us, side="right")
    defined = ~np.isnan(fwd_ret(future, h)) & (stop > first)
    return np.where(defined, np.sqrt(window_sums(squares, first, stop)), np.nan)


@feature(
    LABELS,
    "fwd_realized_spread_bps_{h}",
    family="label",
    kind=Kind.LABEL,
    unit="bps",
    null="no signed trade in the bucket, a mid is not live, T+h is past the watermark, or no trades feed",
    formula="2e4·((buy_qvol − sell_qvol) − mid(T+h)·(buy_vol − sell_vol)) / (mid(T)·(buy_vol + sell_vol))",
    source="Huang & Stoll 1996",
    over=spread_horizons,
    trades=True,
)
def fwd_realized_spread(future: Future, h: Span) -> Float64Array:
    """Looks ahead: what takers of the bucket paid, once the mid of h later is known."""
    value, net, total = future.signed
    paid = value - future.mid_after(h.us) * net
    traded = np.where(total > 0, total, np.nan)
    return 2 * BPS * paid / (future.mid_after(0) * traded)
