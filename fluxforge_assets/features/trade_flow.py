"""Family P: trade flow and liquidity of a window. All are null where the trades feed is not collected."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import BPS, Float64Array, divide, relative_difference
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import FLAT, Window, divide_above, where_at_least
from fluxforge_assets.tables import Kind, feature

_NO_FEED = "no trades feed"
_NO_VOLUME = "no trade, or no trades feed"
_FEW_TRADED = "n_pair = 0, fewer than 5 buckets with signed value, or no trades feed"


@feature(
    WINDOWS, "vol", family="P", kind=Kind.ROLLING, unit="base", null=_NO_FEED, formula="Σ amount", trades=True
)  # fmt: skip
def volume(window: Window) -> Float64Array:
    """Volume traded."""
    return window["vol"]


@feature(
    WINDOWS, "qvol", family="P", kind=Kind.ROLLING, unit="quote", null=_NO_FEED, formula="Σ price · amount",
    trades=True,
)  # fmt: skip
def value(window: Window) -> Float64Array:
    """Value traded."""
    return window["qvol"]


@feature(
    WINDOWS, "signed_qvol", family="P", kind=Kind.ROLLING, unit="quote", null=_NO_FEED,
    formula="buy_qvol − sell_qvol", trades=True, core=False,
)  # fmt: skip
def signed_value(window: Window) -> Float64Array:
    """Value bought less value sold by takers."""
    return window["buy_qvol"] - window["sell_qvol"]


@feature(
    WINDOWS, "tfi", family="P", kind=Kind.ROLLING, unit="1", null="no signed trade, or no trades feed",
    formula="R(buy_vol, sell_vol)", trades=True,
)  # fmt: skip
def trade_flow_imbalance(window: Window) -> Float64Array:
    """Trade flow imbalance."""
    return relative_difference(window["buy_vol"], window["sell_vol"])


@feature(
    WINDOWS, "buy_count_frac", family="P", kind=Kind.ROLLING, unit="1", null="no signed trade, or no trades feed",
    formula="n_buy/(n_buy + n_sell)", trades=True,
)  # fmt: skip
def buy_count_share(window: Window) -> Float64Array:
    """Share of the signed trades that were taken by buyers."""
    return divide(window["n_buy"], window["n_buy"] + window["n_sell"])


@feature(
    WINDOWS, "vwap_dev_bps", family="P", kind=Kind.ROLLING, unit="bps",
    null="n_book = 0, no trade, or no trades feed", formula="10⁴ ((qvol/vol)/last mid − 1)", trades=True, core=False,
)  # fmt: skip
def vwap_deviation(window: Window) -> Float64Array:
    """Volume-weighted price against the last mid."""
    return BPS * (divide(window["qvol"], window["vol"]) / window["mid"] - 1.0)


@feature(
    WINDOWS, "large_share", family="P", kind=Kind.ROLLING, unit="1", null=_NO_VOLUME, formula="large_qvol/qvol",
    trades=True, core=False,
)  # fmt: skip
def large_share(window: Window) -> Float64Array:
    """Share of the value that large trades moved."""
    return divide(window["large_qvol"], window["qvol"])


@feature(
    WINDOWS, "max_share", family="P", kind=Kind.ROLLING, unit="1", null=_NO_VOLUME, formula="max_qvol/qvol",
    trades=True, core=False,
)  # fmt: skip
def largest_share(window: Window) -> Float64Array:
    """Share of the value that the largest trade moved."""
    return divide(window["max_qvol"], window["qvol"])


@feature(
    WINDOWS, "trade_hhi", family="P", kind=Kind.ROLLING, unit="1", null=_NO_VOLUME, formula="vol_sq/vol²",
    trades=True, core=False,
)  # fmt: skip
def trade_concentration(window: Window) -> Float64Array:
    """Concentration of the volume over trades: 1/n where equal, 1 where one trade is all."""
    return divide(window["vol_sq"], np.square(window["vol"]))


@feature(
    WINDOWS, "turnover_l0", family="P", kind=Kind.ROLLING, unit="1", null="n_book = 0, or no trades feed",
    formula="vol/depth_l0_mean", trades=True, core=False,
)  # fmt: skip
def touch_turnover(window: Window) -> Float64Array:
    """Volume relative to the average size of the best quotes."""
    return divide(window["vol"], window["depth_l0_mean"])


@feature(
    WINDOWS, "eff_spread_bps", family="P", kind=Kind.ROLLING, unit="bps",
    null="no trade with an effective spread, or no trades feed", formula="es_wsum/es_vol",
    source="Huang & Stoll 1996", trades=True, core=False,
)  # fmt: skip
def effective_spread(window: Window) -> Float64Array:
    """Effective spread, volume-weighted; below 0, trades inside the quotes or a stale book."""
    return divide(window["es_wsum"], window["es_vol"])


@feature(
    WINDOWS, "through_share", family="P", kind=Kind.ROLLING, unit="1",
    null="no trade with an effective spread, or no trades feed", formula="through_vol/es_vol", trades=True, core=False,
)  # fmt: skip
def through_share(window: Window) -> Float64Array:
    """Share of the volume that traded through the prevailing quote."""
    return divide(window["through_vol"], window["es_vol"])


@feature(
    WINDOWS, "sign_ac1", family="P", kind=Kind.ROLLING, unit="1", null="sign_n < 5, or no trades feed",
    formula="sign_sum/sign_n", source="Lillo & Farmer 2004", trades=True, core=False,
)  # fmt: skip
def sign_autocorrelation(window: Window) -> Float64Array:
    """Mean product of neighbouring trade signs, not demeaned."""
    return where_at_least(window["sign_n"], 5, divide(window["sign_sum"], window["sign_n"]))


@feature(
    WINDOWS, "roll_spread_bps", family="P", kind=Kind.ROLLING, unit="bps", null="roll_n < 10, or no trades feed",
    formula="2·10⁴ √max(0, −roll_sum/roll_n)", source="Roll 1984; Goyenko, Holden & Trzcinka 2009", min_buckets=5,
    trades=True, core=False,
)  # fmt: skip
def roll_spread(window: Window) -> Float64Array:
    """Roll's spread from the bounce of trade prices; 0 for positive autocovariance."""
    covariance = divide(window["roll_sum"], window["roll_n"])
    return where_at_least(window["roll_n"], 10, 2.0 * BPS * np.sqrt(np.maximum(-covariance, 0.0)))


@feature(
    WINDOWS, "trade_burst", family="P", kind=Kind.ROLLING, unit="1",
    null="dur_n < 5, all trades at once, or no trades feed", formula="R(std, mean) of trade durations",
    source="Goh & Barabási 2008", min_buckets=5, trades=True, core=False,
)  # fmt: skip
def trade_burstiness(window: Window) -> Float64Array:
    """Burstiness of arrivals: −1 regular, 0 random, towards 1 in bursts."""
    return where_at_least(window["dur_n"], 5, relative_difference(window.std("dur", "dur_n"), window["dur_mean"]))


@feature(
    WINDOWS, "kyle_lambda", family="P", kind=Kind.ROLLING, unit="bps/quote", null=_FEW_TRADED,
    formula="Σ xy/Σ x², x = buy_qvol − sell_qvol, y = 10⁴ r", source="Kyle 1985; Hasbrouck 2009", min_buckets=5,
    trades=True, core=False,
)  # fmt: skip
def trade_impact(window: Window) -> Float64Array:
    """Price impact of signed value: regression through the origin, bucket by bucket."""
    return where_at_least(window["trade_nx"], 5, divide(window["trade_xy"], window["trade_xx"]))


@feature(
    WINDOWS, "kyle_r2", family="P", kind=Kind.ROLLING, unit="1", null=f"{_FEW_TRADED}, or V ≤ 1e-24",
    formula="(Σ xy)²/(Σ x² Σ y²)", min_buckets=5, trades=True, core=False,
)  # fmt: skip
def trade_impact_fit(window: Window) -> Float64Array:
    """Share of the squared returns which signed value explains, uncentred."""
    explained = np.square(window["trade_xy"]) / BPS**2
    fit = divide(divide_above(explained, window["ret_sq"], FLAT), window["trade_xx"])
    return where_at_least(window["trade_nx"], 5, fit)


@feature(
    WINDOWS, "amihud", family="P", kind=Kind.ROLLING, unit="bps/quote",
    null="n_pair = 0, no trade, or no trades feed", formula="10⁴ A/qvol, A = Σ |r_k|", source="Amihud 2002",
    trades=True, core=False,
)  # fmt: skip
def illiquidity(window: Window) -> Float64Array:
    """Absolute returns per value traded, as a ratio of sums."""
    return divide(BPS * window["abs_ret"], window["qvol"])


@feature(
    WINDOWS, "vpin_time", family="P", kind=Kind.ROLLING, unit="1", null="no signed trade, or no trades feed",
    formula="Σ |buy_vol − sell_vol|/Σ (buy_vol + sell_vol)", min_buckets=5, trades=True, core=False,
)  # fmt: skip
def order_imbalance(window: Window) -> Float64Array:
    """Order imbalance over buckets of time."""
    return divide(window["net_vol"], window["buy_vol"] + window["sell_vol"])
