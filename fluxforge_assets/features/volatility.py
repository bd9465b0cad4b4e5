"""Family L: volatility, jumps and autocorrelation, on the returns of buckets."""

from __future__ import annotations

import math

import numpy as np

from fluxforge_assets.features.books import Float64Array
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import FLAT, Window, divide_above, where_at_least
from fluxforge_assets.tables import Binding, Kind, feature
from fluxforge_collector.config.features import FeatureOptions

_FEW_MOVES = "fewer than 5 non-zero returns, or V ≤ 1e-24"


def ratio_lag(options: FeatureOptions) -> list[Binding]:
    """q, the lag of the variance ratio."""
    return [{"q": options.vr_q}]


@feature(
    WINDOWS, "rvol", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="√V, V = Σ r_k²",
    source="Andersen, Bollerslev, Diebold & Labys 2003",
)  # fmt: skip
def realised_volatility(window: Window) -> Float64Array:
    """Realised volatility: neither demeaned nor annualised."""
    return np.sqrt(window["ret_sq"])


@feature(WINDOWS, "tick_rvol", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="√Σ r²")
def tick_volatility(window: Window) -> Float64Array:
    """Realised volatility over pairs, so in event time."""
    return np.sqrt(window["tick_rv"])


@feature(
    WINDOWS, "noise_ratio", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0, or V ≤ 1e-24",
    formula="Σ r²/V", source="Zhang, Mykland & Aït-Sahalia 2005", min_buckets=5, core=False,
)  # fmt: skip
def noise_ratio(window: Window) -> Float64Array:
    """Variance in event time over variance in buckets; above 1, prices bounce."""
    return divide_above(window["tick_rv"], window["ret_sq"], FLAT)


@feature(
    WINDOWS, "rsv_up", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="Σ r_k² [r_k > 0]",
    source="Barndorff-Nielsen, Kinnebrock & Shephard 2010", min_buckets=5, core=False,
)  # fmt: skip
def upward_semivariance(window: Window) -> Float64Array:
    """Realised variance of the rises."""
    return window["ret_sq_up"]


@feature(
    WINDOWS, "rsv_dn", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="Σ r_k² [r_k < 0]",
    source="Barndorff-Nielsen, Kinnebrock & Shephard 2010", min_buckets=5, core=False,
)  # fmt: skip
def downward_semivariance(window: Window) -> Float64Array:
    """Realised variance of the falls."""
    return window["ret_sq_dn"]


@feature(
    WINDOWS, "sj_share", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0, or V ≤ 1e-24",
    formula="(V⁺ − V⁻)/V", source="Patton & Sheppard 2015", min_buckets=5, core=False,
)  # fmt: skip
def signed_jump_share(window: Window) -> Float64Array:
    """Signed jump variation over realised variance."""
    return divide_above(window["ret_sq_up"] - window["ret_sq_dn"], window["ret_sq"], FLAT)


@feature(
    WINDOWS, "bpv", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="π/2 Σ |r_k| |r_{k−1}|",
    source="Barndorff-Nielsen & Shephard 2004", min_buckets=5, core=False,
)  # fmt: skip
def bipower_variation(window: Window) -> Float64Array:
    """Bipower variation: variance without the jumps."""
    return math.pi / 2 * window["ret_bv"]


@feature(
    WINDOWS, "jump_share", family="L", kind=Kind.ROLLING, unit="1", null=_FEW_MOVES, formula="max(0, 1 − bpv/V)",
    source="Huang & Tauchen 2005", min_buckets=5, core=False,
)  # fmt: skip
def jump_share(window: Window) -> Float64Array:
    """Share of the variance that came in jumps; zero returns push it to 1 on slow books."""
    share = 1.0 - divide_above(math.pi / 2 * window["ret_bv"], window["ret_sq"], FLAT)
    return where_at_least(window["n_moved"], 5, np.maximum(share, 0.0))


@feature(
    WINDOWS, "rq", family="L", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="n_b/3 Σ r_k⁴",
    source="Barndorff-Nielsen & Shephard 2002", min_buckets=5, core=False,
)  # fmt: skip
def quarticity(window: Window) -> Float64Array:
    """Realised quarticity."""
    return window.buckets / 3 * window["ret_4"]


@feature(
    WINDOWS, "ret_ac1", family="L", kind=Kind.ROLLING, unit="1", null=_FEW_MOVES, formula="Σ r_k r_{k−1}/V",
    min_buckets=10, core=False,
)  # fmt: skip
def return_autocorrelation(window: Window) -> Float64Array:
    """First autocorrelation of the returns, uncentred."""
    return where_at_least(window["n_moved"], 5, divide_above(window["ret_ac1"], window["ret_sq"], FLAT))


@feature(
    WINDOWS, "vr{q}", family="L", kind=Kind.ROLLING, unit="1", null=_FEW_MOVES,
    formula="1 + 2 Σ_{j<q} (1 − j/q) C_j/V, C_j = Σ r_k r_{k−j}", source="Lo & MacKinlay 1988", over=ratio_lag,
    min_buckets=10, core=False,
)  # fmt: skip
def variance_ratio(window: Window, q: int) -> Float64Array:
    """Variance of q-bucket returns over q times that of one-bucket returns; below 1, mean-reverting."""
    weighted = sum(((1 - j / q) * window[f"ret_ac{j}"] for j in range(2, q)), (1 - 1 / q) * window["ret_ac1"])
    return where_at_least(window["n_moved"], 5, 1.0 + 2.0 * divide_above(weighted, window["ret_sq"], FLAT))
