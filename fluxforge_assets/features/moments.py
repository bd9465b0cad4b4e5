"""Family G: moments over the valid book events of a bucket, event-weighted.

Accumulated by `kernels.book_pass`; declared here.
"""

from __future__ import annotations

from collections.abc import Iterable

from fluxforge_assets.features.registry import statistic
from fluxforge_assets.tables import Binding, Dtype, Merge
from fluxforge_collector.config.features import FeatureOptions

_NO_BOOK = "n_book = 0"
_NO_LAG = "lag_n = 0"


def top(options: FeatureOptions) -> Iterable[Binding]:
    """J, the levels of the imbalance whose moments are kept: min(5, N)."""
    return ({"j": min(5, options.max_levels)},)


def _moment(name: str, description: str, merge: Merge, unit: str, formula: str = "", null: str = _NO_BOOK) -> None:
    over = top if "{j}" in name else None
    extra = {"over": over} if over else {}
    statistic(name, description, family="G", merge=merge, unit=unit, null=null, formula=formula, **extra)


def _mean_m2(name: str, what: str, unit: str, square: str, formula: str = "", null: str = _NO_BOOK) -> None:
    _moment(f"{name}_mean", f"Mean {what}", Merge.CHAN, unit, formula, null)
    _moment(f"{name}_m2", f"Sum of squared deviations of the {what}", Merge.CHAN, square, formula, null)


_moment("mid_first", "First mid", Merge.FIRST, "px", "m")
_moment("mid_min", "Lowest mid", Merge.MIN, "px", "m")
_moment("mid_max", "Highest mid", Merge.MAX, "px", "m")
_mean_m2("spread_bps", "spread", "bps", "bps²", "10⁴ s/m")
_moment("spread_bps_min", "Narrowest spread", Merge.MIN, "bps", "10⁴ s/m")
_moment("spread_bps_max", "Widest spread", Merge.MAX, "bps", "10⁴ s/m")
_mean_m2("imb_l0", "imbalance of the best quotes", "1", "1", "R(qb₀, qa₀)")
_mean_m2("imb_top{j}", "imbalance of the best {j} levels", "1", "1", "R(Qb_J, Qa_J)")
_mean_m2("micro_dev_bps", "deviation of the microprice from the mid", "bps", "bps²", "10⁴ (microprice − m)/m")
_mean_m2("depth_near", "depth of the first band, both sides", "base", "base²", "Σ q, d < first edge")
_moment("depth_l0_mean", "Mean size of the best quotes", Merge.CHAN, "base", "(qb₀ + qa₀)/2")
_moment("depth_lk_mean", "Mean size of a level over the best K", Merge.CHAN, "base", "(Qb_K + Qa_K)/(2K)")
statistic(
    "lag_n", "Valid book events with an exchange time", family="G", merge=Merge.SUM, unit="count", dtype=Dtype.U32
)
_mean_m2("lag_ms", "latency from exchange to capture", "ms", "ms²", "(capture_ts − 1000 exchange_ts)/1000", _NO_LAG)
_moment("lag_ms_min", "Least latency", Merge.MIN, "ms", null=_NO_LAG)
_moment("lag_ms_max", "Greatest latency", Merge.MAX, "ms", null=_NO_LAG)
