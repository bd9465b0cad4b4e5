"""Family O: averages of the book's state over a window: spread, regime, imbalance, depth, resiliency, latency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fluxforge_assets.features.books import Float64Array, divide
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import Window, where_at_least
from fluxforge_assets.tables import Binding, Kind, feature, once
from fluxforge_collector.config.features import FeatureOptions

_NO_PAIR_TIME = "pair_us = 0"


def top_imbalance(options: FeatureOptions) -> list[Binding]:
    """J, the levels of the imbalance whose moments are kept."""
    return [{"j": min(5, options.max_levels)}]


def _declare_value(pattern: str, what: str, unit: str, null: str, *, core: bool) -> None:
    """Declare a stored moment or extreme as it is."""
    over = top_imbalance if "{j}" in pattern else once

    def compute(window: Window, **binding: int) -> Float64Array:
        return window[pattern.format(**binding)]

    compute.__doc__ = what
    feature(WINDOWS, pattern, family="O", kind=Kind.ROLLING, unit=unit, null=null, formula="merged", over=over,
            core=core)(compute)  # fmt: skip


def _declare_std(pattern: str, what: str, unit: str, count: str, *, core: bool) -> None:
    """Declare a standard deviation."""
    over = top_imbalance if "{j}" in pattern else once

    def compute(window: Window, **binding: int) -> Float64Array:
        return window.std(pattern.format(**binding), count)

    compute.__doc__ = what
    feature(WINDOWS, f"{pattern}_std", family="O", kind=Kind.ROLLING, unit=unit, null=f"{count} < 2",
            formula="√(M2/(n − 1)), 0 where ≤ 1e-7 |mean|", over=over, core=core)(compute)  # fmt: skip


def _share_of_time(name: str) -> Callable[[Window], Float64Array]:
    def compute(window: Window) -> Float64Array:
        return divide(window[name], window["pair_us"])

    return compute


def _declare_share_of_time(name: str, what: str, unit: str, numerator: str) -> None:
    """Declare a time-weighted average or fraction."""
    compute = _share_of_time(numerator)
    compute.__doc__ = what
    feature(WINDOWS, name, family="O", kind=Kind.ROLLING, unit=unit, null=_NO_PAIR_TIME,
            formula=f"{numerator}/pair_us")(compute)  # fmt: skip


_declare_value("spread_bps_mean", "Mean spread, event-weighted.", "bps", "n_book = 0", core=True)
_declare_std("spread_bps", "Standard deviation of the spread.", "bps", "n_book", core=True)
_declare_value("spread_bps_min", "Narrowest spread.", "bps", "n_book = 0", core=True)
_declare_value("spread_bps_max", "Widest spread.", "bps", "n_book = 0", core=True)
_declare_share_of_time("spread_bps_twa", "Mean spread, time-weighted.", "bps", "tw_spread")
_declare_share_of_time("spread_tight_frac", "Share of the time with a tight spread.", "1", "tight_us")
_declare_share_of_time("spread_wide_frac", "Share of the time with a wide spread.", "1", "wide_us")
_declare_value("imb_l0_mean", "Mean imbalance of the best quotes.", "1", "n_book = 0", core=True)
_declare_std("imb_l0", "Standard deviation of the imbalance of the best quotes.", "1", "n_book", core=True)
_declare_value("imb_top{j}_mean", "Mean imbalance of the best J levels.", "1", "n_book = 0", core=True)
_declare_std("imb_top{j}", "Standard deviation of the imbalance of the best J levels.", "1", "n_book", core=True)
_declare_share_of_time("imb_l0_twa", "Mean imbalance of the best quotes, time-weighted.", "1", "tw_imb")
_declare_value("micro_dev_bps_mean", "Mean deviation of the microprice.", "bps", "n_book = 0", core=False)
_declare_std("micro_dev_bps", "Standard deviation of the microprice's deviation.", "bps", "n_book", core=False)
_declare_value("depth_near_mean", "Mean depth of the first band, both sides.", "base", "n_book = 0", core=False)
_declare_std("depth_near", "Standard deviation of the depth of the first band.", "base", "n_book", core=False)


@feature(
    WINDOWS, "depth_near_cv", family="O", kind=Kind.ROLLING, unit="1", null="n_book < 2, or mean 0",
    formula="std/mean", core=False,
)  # fmt: skip
def near_depth_variation(window: Window) -> Float64Array:
    """Standard deviation over mean of the depth of the first band."""
    return divide(window.std("depth_near", "n_book"), window["depth_near_mean"])


_declare_value("depth_l0_mean", "Mean size of the best quotes.", "base", "n_book = 0", core=False)


def _resiliency(window: Window, prefix: str) -> Float64Array:
    deviation = window.deviation(f"{prefix}_m2x", f"{prefix}_mx", "n_pair")
    with np.errstate(divide="ignore", invalid="ignore"):
        undone = -window[f"{prefix}_cxy"] / window[f"{prefix}_m2x"]
    undone[~(deviation > 0)] = np.nan
    return where_at_least(window["n_pair"], 10, undone)


@feature(
    WINDOWS, "resil_spread", family="O", kind=Kind.ROLLING, unit="1", null="n_pair < 10, or the spread constant",
    formula="−rs_cxy/rs_m2x", source="Kempf, Mayston, Gehde-Trapp & Yadav 2015", min_buckets=5, core=False,
)  # fmt: skip
def spread_resiliency(window: Window) -> Float64Array:
    """Share of a deviation of the spread that one update undoes."""
    return _resiliency(window, "rs")


@feature(
    WINDOWS, "resil_depth", family="O", kind=Kind.ROLLING, unit="1", null="n_pair < 10, or the depth constant",
    formula="−rd_cxy/rd_m2x", source="Kempf, Mayston, Gehde-Trapp & Yadav 2015", min_buckets=5, core=False,
)  # fmt: skip
def depth_resiliency(window: Window) -> Float64Array:
    """Share of a deviation of the depth that one update undoes."""
    return _resiliency(window, "rd")


_declare_value("lag_ms_mean", "Mean latency of the book.", "ms", "lag_n = 0", core=False)
_declare_std("lag_ms", "Standard deviation of the book's latency.", "ms", "lag_n", core=False)
_declare_value("lag_ms_max", "Greatest latency of the book.", "ms", "lag_n = 0", core=False)


@feature(
    WINDOWS, "trade_lag_ms_mean", family="O", kind=Kind.ROLLING, unit="ms", null="trade_lag_n = 0, or no trades feed",
    formula="trade_lag_sum/trade_lag_n", trades=True, core=False,
)  # fmt: skip
def trade_lag_mean(window: Window) -> Float64Array:
    """Mean latency of the trades."""
    return divide(window["trade_lag_sum"], window["trade_lag_n"])
