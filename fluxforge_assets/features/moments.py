"""Family G: moments over the valid book events of a bucket, event-weighted.

Accumulated by `kernels.book_pass`; declared here.
"""

from __future__ import annotations

from collections.abc import Iterable

from fluxforge_assets.features.registry import statistic
from fluxforge_assets.tables import Binding, Dtype, Merge, once
from fluxforge_collector.config.features import FeatureOptions

_NO_BOOK = "n_book = 0"
_NO_LAG = "lag_n = 0"


def top(options: FeatureOptions) -> Iterable[Binding]:
    """J, the levels of the imbalance whose moments are kept: min(5, N)."""
    return ({"j": min(5, options.max_levels)},)


def _moment(name: str, description: str, merge: Merge, unit: str, *, formula: str = "", null: str = _NO_BOOK) -> None:
    over = top if "{j}" in name else once
    statistic(name, description, family="G", merge=merge, unit=unit, null=null, formula=formula, over=over)


def _mean_m2(name: str, what: str, unit: str, *, formula: str = "", null: str = _NO_BOOK) -> None:
    square = unit if unit == "1" else f"{unit}²"
    _moment(f"{name}_mean", f"Mean {what}", Merge.CHAN, unit, formula=formula, null=null)
    _moment(f"{name}_m2", f"Squared deviations of the {what}, summed", Merge.CHAN, square, formula=formula, null=null)


_moment("mid_first", "First mid", Merge.FIRST, "px", formula="m")
_moment("mid_min", "Lowest mid", Merge.MIN, "px", formula="m")
_moment("mid_max", "Highest mid", Merge.MAX, "px", formula="m")
_mean_m2("spread_bps", "spread", "bps", formula="10⁴ s/m")
_moment("spread_bps_min", "Narrowest spread", Merge.MIN, "bps", formula="10⁴ s/m")
_moment("spread_bps_max", "Widest spread", Merge.MAX, "bps", formula="10⁴ s/m")
_mean_m2("imb_l0", "imbalance of the best quotes", "1", formula="R(qb₀, qa₀)")
_mean_m2("imb_top{j}", "imbalance of the best J levels", "1", formula="R(Qb_J, Qa_J)")
_mean_m2("micro_dev_bps", "deviation of the microprice from the mid", "bps", formula="10⁴ (microprice − m)/m")
_mean_m2("depth_near", "depth of the first band, both sides", "base", formula="Σ q, d < first edge")
_moment("depth_l0_mean", "Mean size of the best quotes", Merge.CHAN, "base", formula="(qb₀ + qa₀)/2")
_moment("depth_lk_mean", "Mean size of a level over the best K", Merge.CHAN, "base", formula="(Qb_K + Qa_K)/(2K)")
statistic(
    "lag_n", "Valid book events with an exchange time", family="G", merge=Merge.SUM, unit="count", dtype=Dtype.U32
)
_mean_m2(
    "lag_ms", "latency from exchange to capture", "ms", formula="(capture_ts − 1000 exchange_ts)/1000", null=_NO_LAG
)
_moment("lag_ms_min", "Least latency", Merge.MIN, "ms", null=_NO_LAG)
_moment("lag_ms_max", "Greatest latency", Merge.MAX, "ms", null=_NO_LAG)
