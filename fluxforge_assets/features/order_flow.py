"""Family M: order flow imbalance of a window."""

from __future__ import annotations

import math

import numpy as np

from fluxforge_assets.features.books import BPS, Float64Array, divide
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import FLAT, Window, divide_above, where_at_least
from fluxforge_assets.tables import Kind, feature


@feature(
    WINDOWS, "ofi_l0_sum", family="M", kind=Kind.ROLLING, unit="base", null="n_pair = 0", formula="Ω₀ = Σ e₀",
    source="Cont, Kukanov & Stoikov 2014",
)  # fmt: skip
def ofi_sum(window: Window) -> Float64Array:
    """Order flow imbalance at the best quotes."""
    return window["ofi_l0"]


@feature(
    WINDOWS, "ofi_multi_sum", family="M", kind=Kind.ROLLING, unit="base", null="n_pair = 0",
    formula="Σ_{k<K} Ω_k", source="Xu, Gould & Howison 2018",
)  # fmt: skip
def ofi_multi_sum(window: Window) -> Float64Array:
    """Order flow imbalance of all ranks together."""
    return window["ofi_all"]


@feature(
    WINDOWS, "ofi_decay_sum", family="M", kind=Kind.ROLLING, unit="base", null="n_pair = 0",
    formula="Σ w_k Ω_k/Σ w_k, w_k = e^(−αk)",
)  # fmt: skip
def ofi_decay_sum(window: Window) -> Float64Array:
    """Order flow imbalance averaged over ranks, the deeper the less."""
    options = window.options
    weight = sum(math.exp(-options.ofi_decay_alpha * k) for k in range(options.ofi_levels))
    return window["ofi_decayed"] / weight


@feature(
    WINDOWS, "ofi_l0_norm", family="M", kind=Kind.ROLLING, unit="1", null="n_pair = 0",
    formula="Ω₀/mean of depth_l0", source="Cont, Kukanov & Stoikov 2014",
)  # fmt: skip
def ofi_norm(window: Window) -> Float64Array:
    """Order flow imbalance at the best quotes relative to their average depth."""
    return divide(window["ofi_l0"], window["depth_l0_mean"])


@feature(
    WINDOWS, "ofi_multi_norm", family="M", kind=Kind.ROLLING, unit="1", null="n_pair = 0",
    formula="Σ_{k<K} Ω_k/mean of depth_lk", source="Cont, Cucuringu & Zhang 2023",
)  # fmt: skip
def ofi_multi_norm(window: Window) -> Float64Array:
    """Order flow imbalance of all ranks relative to the average depth of a level."""
    return divide(window["ofi_all"], window["depth_lk_mean"])


@feature(
    WINDOWS, "ofi_l0_ratio", family="M", kind=Kind.ROLLING, unit="1", null="n_pair = 0, or no flow",
    formula="Ω₀/Σ |e₀|",
)  # fmt: skip
def ofi_ratio(window: Window) -> Float64Array:
    """Net over gross order flow at the best quotes."""
    return divide(window["ofi_l0"], window["ofi_abs_l0"])


@feature(
    WINDOWS, "ofi_beta", family="M", kind=Kind.ROLLING, unit="bps/base",
    null="n_pair = 0, or fewer than 5 buckets with flow", formula="Σ xy/Σ x², x = ofi_l0, y = 10⁴ r", min_buckets=5,
)  # fmt: skip
def ofi_slope(window: Window) -> Float64Array:
    """Price impact of order flow imbalance: regression through the origin, bucket by bucket."""
    return where_at_least(window["ofi_nx"], 5, divide(window["ofi_xy"], window["ofi_xx"]))


@feature(
    WINDOWS, "ofi_r2", family="M", kind=Kind.ROLLING, unit="1",
    null="n_pair = 0, or fewer than 5 buckets with flow, or V ≤ 1e-24", formula="(Σ xy)²/(Σ x² Σ y²)", min_buckets=5,
)  # fmt: skip
def ofi_fit(window: Window) -> Float64Array:
    """Share of the squared returns which order flow imbalance explains, uncentred."""
    explained = np.square(window["ofi_xy"]) / BPS**2
    fit = divide(divide_above(explained, window["ret_sq"], FLAT), window["ofi_xx"])
    return where_at_least(window["ofi_nx"], 5, fit)
