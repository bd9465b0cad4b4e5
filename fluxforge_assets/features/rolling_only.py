"""Family Q: what only a rolling window has: acceleration, the row against its window, short against long horizons."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import Float64Array, divide
from fluxforge_assets.features.moves import velocity
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import FLAT, Window, divide_above, where_at_least
from fluxforge_assets.tables import Kind, feature

FAMILY = "Q"
BELOW_LONGEST = ("quote_rate_ratio", "trade_rate_ratio", "rvol_ratio")
"""The features that compare a horizon with the largest, so do not exist for the largest."""


@feature(
    WINDOWS, "accel_bps", family=FAMILY, kind=Kind.ROLLING, unit="bps/s²", null="n_pair = 0 in either window",
    formula="(velocity over (T−h, T] − velocity over (T−2h, T−h])/h_s",
)  # fmt: skip
def acceleration(window: Window) -> Float64Array:
    """Change of the velocity from the window before to this one."""
    change: Float64Array = velocity(window) - velocity(window.previous)
    return change / window.seconds


@feature(
    WINDOWS, "spread_z", family=FAMILY, kind=Kind.ROLLING, unit="1",
    null="n_book of the row 0, of the window < 5, or std 0", formula="(spread_bps − mean)/std",
)  # fmt: skip
def spread_score(window: Window) -> Float64Array:
    """The row's spread against the window's."""
    score = divide(window.bucket["spread_bps"] - window["spread_bps_mean"], window.std("spread_bps", "n_book"))
    return where_at_least(window["n_book"], 5, score)


@feature(
    WINDOWS, "quote_rate_ratio", family=FAMILY, kind=Kind.ROLLING, unit="1", null="no book in the longest horizon",
    formula="quote_rate over h/quote_rate over H",
)  # fmt: skip
def quote_rate_ratio(window: Window) -> Float64Array:
    """Rate of book events against that of the longest horizon."""
    return divide(window["n_book"] / window.seconds, window.widest["n_book"] / window.widest.seconds)


@feature(
    WINDOWS, "trade_rate_ratio", family=FAMILY, kind=Kind.ROLLING, unit="1",
    null="no trade in the longest horizon, or no trades feed", formula="trade_rate over h/trade_rate over H",
    trades=True,
)  # fmt: skip
def trade_rate_ratio(window: Window) -> Float64Array:
    """Rate of trades against that of the longest horizon."""
    return divide(window["n_trade"] / window.seconds, window.widest["n_trade"] / window.widest.seconds)


@feature(
    WINDOWS, "rvol_ratio", family=FAMILY, kind=Kind.ROLLING, unit="1",
    null="n_pair = 0, or V ≤ 1e-24 in the longest horizon", formula="rvol over h/rvol over H · √(H/h)",
)  # fmt: skip
def volatility_ratio(window: Window) -> Float64Array:
    """Volatility against that of the longest horizon, both per unit of time."""
    share = divide_above(window["ret_sq"], window.widest["ret_sq"], FLAT)
    return np.sqrt(share * (window.longest / window.buckets))
