"""One instrument against the same one on other venues (catalogue 12; Makarov & Schoar 2020, Hasbrouck 1995)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fluxforge_assets.features.quality import KEY
from fluxforge_assets.gold.rows import (
    Float64Array,
    Int64Array,
    Mids,
    Span,
    as_table,
    numbers,
    require,
    span,
    whole,
    window_sums,
)
from fluxforge_assets.tables import Binding, Column, Dtype, Feature, Kind, feature
from fluxforge_collector.config.features import FeatureOptions

CROSS_VENUE: list[Feature] = []
NEEDED = ("n_book", "n_pair", "mid", "last_book_ts", "log_ret")
BPS = 1e4
NO_RETURN = 1e-12
NO_VARIANCE = 1e-24
LEAST_RETURNS = 5


def gap_horizons(options: FeatureOptions) -> Iterable[Binding]:
    """The horizons of return gaps."""
    return ({"h": span(h)} for h in options.xv_horizons)


def correlation_horizon(options: FeatureOptions) -> Iterable[Binding]:
    """The one horizon of lead and lag."""
    return ({"h": span(options.xv_corr_horizon)},)


@dataclass(frozen=True, slots=True)
class Returns:
    """Bucket returns of one venue, or their mean over several: times of the rows that have one, ascending."""

    ts: Int64Array
    value: Float64Array

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Returns:
        """From the silver rows with an observed return."""
        seen = rows.filter(pl.col("n_pair") >= 1)
        return cls(whole(seen, "ts"), numbers(seen, "log_ret"))

    @classmethod
    def mean(cls, venues: list[Returns]) -> Returns:
        """The mean over venues at every time one of them has a return; a missing one counts 0."""
        if not venues:
            return cls(np.empty(0, np.int64), np.empty(0))
        ts = np.unique(np.concatenate([v.ts for v in venues]))
        total = np.zeros(len(ts))
        for venue in venues:
            total[np.searchsorted(ts, venue.ts)] += venue.value
        return cls(ts, total / len(venues))

    def windows(self, times_us: Int64Array, length_us: int) -> tuple[Int64Array, Int64Array]:
        """First and one past the last row of (t − length, t], for each t."""
        return (
            np.searchsorted(self.ts, times_us - length_us, side="right"),
            np.searchsorted(self.ts, times_us, side="right"),
        )

    def sums(self, times_us: Int64Array, length_us: int) -> Float64Array:
        """Sum over (t − length, t]; NaN where no row is in it."""
        first, stop = self.windows(times_us, length_us)
        return np.where(stop > first, window_sums(self.value, first, stop), np.nan)

    def times(self, other: Returns) -> Returns:
        """The product with another at the times both have."""
        ts, mine, theirs = np.intersect1d(self.ts, other.ts, assume_unique=True, return_indices=True)
        return Returns(ts, self.value[mine] * other.value[theirs])

    def delayed(self, by_us: int) -> Returns:
        """The same returns, each one bucket later."""
        return Returns(self.ts + by_us, self.value)


class Venues:
    """An instrument and the same one elsewhere; arrays have one value per own row."""

    def __init__(self, own: pl.DataFrame, others: list[pl.DataFrame], options: FeatureOptions) -> None:
        max_age_us = span(options.xv_max_age).us
        self.ts: Int64Array = whole(own, "ts")
        self.bucket_us = options.bucket_us
        self.own_mid = Mids.of(own).at(self.ts, max_age_us)
        self.other_mids = np.full((len(others), len(self.ts)), np.nan)
        for row, other in enumerate(others):
            self.other_mids[row] = Mids.of(other).at(self.ts, max_age_us)
        self.own = Returns.of(own)
        self.others = [Returns.of(o) for o in others]

    @cached_property
    def live(self) -> Float64Array:
        """The mids of all venues, own first; NaN where not live."""
        return np.vstack([self.own_mid, self.other_mids])

    @cached_property
    def mean(self) -> Returns:
        """The other venues' mean return."""
        return Returns.mean(self.others)

    def follow_correlation(self, follower: Returns, leader: Returns, length_us: int) -> Float64Array:
        """Uncentred correlation of one's returns with the other's a bucket earlier, over (T − length, T]."""
        before = leader.delayed(self.bucket_us)
        moved = Returns(before.ts, (np.abs(before.value) > NO_RETURN).astype(np.float64))
        product = follower.times(before).sums(self.ts, length_us)
        mine = np.nan_to_num(follower.times(follower).sums(self.ts, length_us))
        theirs = before.times(before).sums(self.ts, length_us)
        enough = (np.nan_to_num(moved.sums(self.ts, length_us)) >= LEAST_RETURNS) & (mine > NO_VARIANCE)
        return np.where(enough, np.nan_to_num(product) / np.sqrt(mine * theirs), np.nan)


def median(values: Float64Array) -> Float64Array:
    """Median down the columns of the values that are not NaN; NaN where all are."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.count_nonzero(~np.isnan(values), axis=0)
    if not len(values):
        return np.full(values.shape[1], np.nan)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    column = np.arange(values.shape[1])
    middle: Float64Array = (ordered[low, column] + ordered[np.minimum(high, len(values) - 1), column]) / 2
    return middle


@feature(
    CROSS_VENUE, "xv_n", family="cross_venue", kind=Kind.GOLD, unit="count", dtype=Dtype.U32,
    formula="venues whose as-of mid at T is at most xv_max_age old, own included",
)  # fmt: skip
def live_venues(venues: Venues) -> Float64Array:
    """Venues with a live mid."""
    count: Float64Array = np.count_nonzero(~np.isnan(venues.live), axis=0).astype(np.float64)
    return count


@feature(
    CROSS_VENUE, "xv_disp_bps", family="cross_venue", kind=Kind.GOLD, unit="bps", null="fewer than two live",
    formula="1e4·(max − min) / median of live mids", source="Makarov & Schoar 2020",
)  # fmt: skip
def dispersion(venues: Venues) -> Float64Array:
    """Spread of the live mids across venues."""
    high, low = np.fmax.reduce(venues.live), np.fmin.reduce(venues.live)
    return np.where(live_venues(venues) >= 2, BPS * (high - low) / median(venues.live), np.nan)


@feature(
    CROSS_VENUE, "xv_dev_bps", family="cross_venue", kind=Kind.GOLD, unit="bps",
    null="own mid, or all others', not live",
    formula="1e4·ln(own mid / median of the others' live mids)", source="Makarov & Schoar 2020",
)  # fmt: skip
def deviation(venues: Venues) -> Float64Array:
    """Own mid against the other venues'."""
    return BPS * np.log(venues.own_mid / median(venues.other_mids))


@feature(
    CROSS_VENUE, "xv_ret_gap_{h}", family="cross_venue", kind=Kind.GOLD, unit="1", over=gap_horizons,
    null="own, or all others, without an observed row in the window",
    formula="mean over others of R(h) − own R(h); R(h) = Σ log_ret of rows in (T−h, T]",
)  # fmt: skip
def return_gap(venues: Venues, h: Span) -> Float64Array:
    """How far the other venues' return is ahead of the own."""
    total, count = np.zeros(len(venues.ts)), np.zeros(len(venues.ts))
    for other in venues.others:
        moved = other.sums(venues.ts, h.us)
        total += np.nan_to_num(moved)
        count += ~np.isnan(moved)
    return total / np.where(count > 0, count, np.nan) - venues.own.sums(venues.ts, h.us)


@feature(
    CROSS_VENUE, "xv_lead_corr_{h}", family="cross_venue", kind=Kind.GOLD, unit="1", over=correlation_horizon,
    null="fewer than 5 non-zero b, or Σa² ≤ 1e-24",
    formula="Σ a_t·b_{t−Δ} / sqrt(Σ a_t² · Σ b_{t−Δ}²); a = own return, b = mean of the others', missing = 0",
    source="Hasbrouck 1995 for the idea",
)  # fmt: skip
def lead_correlation(venues: Venues, h: Span) -> Float64Array:
    """Correlation of the own return with the others' one bucket earlier: the others lead."""
    return venues.follow_correlation(venues.own, venues.mean, h.us)


@feature(
    CROSS_VENUE, "xv_lag_corr_{h}", family="cross_venue", kind=Kind.GOLD, unit="1", over=correlation_horizon,
    null="fewer than 5 non-zero a, or Σb² ≤ 1e-24",
    formula="Σ b_t·a_{t−Δ} / sqrt(Σ b_t² · Σ a_{t−Δ}²)",
    source="Hasbrouck 1995 for the idea",
)  # fmt: skip
def lag_correlation(venues: Venues, h: Span) -> Float64Array:
    """Correlation of the others' return with the own one bucket earlier: the own venue leads."""
    return venues.follow_correlation(venues.mean, venues.own, h.us)


def cross_venue_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of the cross-venue table."""
    return (*KEY, *(c for f in CROSS_VENUE for c in f.columns(options)))


def lookback_us(options: FeatureOptions) -> int:
    """How far before a row the silver rows of every venue are needed, µs."""
    longest = max(span(h).us for h in (*options.xv_horizons, options.xv_corr_horizon))
    return max(longest + options.bucket_us, span(options.xv_max_age).us + options.bucket_us)


def compute_cross_venue(
    own: pl.DataFrame,
    others: Mapping[str, pl.DataFrame],
    *,
    options: FeatureOptions,
    watermark_us: int | None = None,
    from_us: int | None = None,
) -> pl.DataFrame:
    """One row per own silver row with `from_us < ts ≤ watermark_us`.

    Args:
        own: silver rows of the instrument; `lookback_us` of earlier rows reproduce those after `from_us`.
        others: silver rows of the same instrument on other venues, by instrument key; none gives nulls.
        options: xv_max_age, xv_horizons, xv_corr_horizon, hf_emit_interval.
        watermark_us: the least watermark of the group; default: the least of the venues' last `ts`.
        from_us: leave out rows up to this time.

    Raises: DataError where a frame lacks a column, mixes instruments or repeats a `ts`.
    """
    rows = require(own, NEEDED, "cross-venue")
    frames = [require(frame, NEEDED, f"cross-venue ({key})") for key, frame in sorted(others.items())]
    if watermark_us is None:
        watermark_us = min((int(f["ts"][-1]) if f.height else 0 for f in (rows, *frames)), default=0)
    known = pl.col("ts") <= watermark_us
    rows = rows.filter(known)
    venues = Venues(rows, [f.filter(known) for f in frames], options)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            name: f.compute(venues, **binding) for f in CROSS_VENUE for name, binding in f.bindings(options).items()
        }
    table = as_table(rows, values, cross_venue_columns(options))
    return table if from_us is None else table.filter(pl.col("ts") > from_us)
