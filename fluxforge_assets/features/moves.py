"""Family K: returns of the mid over a window."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import BPS, Float64Array, divide
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import MOVED, Window, divide_above
from fluxforge_assets.tables import Kind, feature


@feature(WINDOWS, "log_ret", family="K", kind=Kind.ROLLING, unit="1", null="n_pair = 0", formula="Σ r")
def log_return(window: Window) -> Float64Array:
    """Log-return of the mid; ln(mid_T/mid_{T−h}) where nothing broke."""
    return window["log_ret"]


@feature(
    WINDOWS, "velocity_bps", family="K", kind=Kind.ROLLING, unit="bps/s", null="n_pair = 0",
    formula="10⁴ log_ret/h_s",
)  # fmt: skip
def velocity(window: Window) -> Float64Array:
    """Return of the mid a second."""
    return BPS * window["log_ret"] / window.seconds


@feature(
    WINDOWS, "mid_range_bps", family="K", kind=Kind.ROLLING, unit="bps", null="n_book = 0",
    formula="10⁴ ln(mid_max/mid_min)", source="Parkinson 1980",
)  # fmt: skip
def mid_range(window: Window) -> Float64Array:
    """Range of the mid."""
    return BPS * np.log(window["mid_max"] / window["mid_min"])


@feature(
    WINDOWS, "path_eff", family="K", kind=Kind.ROLLING, unit="1", null="n_pair = 0, or A ≤ 1e-12",
    formula="|Σ r|/A, A = Σ |r_k|", source="efficiency ratio, Kaufman 1995", min_buckets=5,
)  # fmt: skip
def path_efficiency(window: Window) -> Float64Array:
    """Net move of the mid over the path it took, bucket by bucket."""
    return divide_above(np.abs(window["log_ret"]), window["abs_ret"], MOVED)


@feature(
    WINDOWS, "mid_up_frac", family="K", kind=Kind.ROLLING, unit="1", null="the mid never moved",
    formula="n_mid_up/(n_mid_up + n_mid_dn)",
)  # fmt: skip
def mid_up_share(window: Window) -> Float64Array:
    """Share of the mid's moves that were up."""
    return divide(window["n_mid_up"], window["n_mid_up"] + window["n_mid_dn"])
