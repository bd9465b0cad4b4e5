"""What a bar has beside the window features: its size, opens, highs, lows, closes, volumes and flows by rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fluxforge_assets.features.books import Float64Array, divide
from fluxforge_assets.features.window import Window
from fluxforge_assets.tables import Binding, Dtype, Feature, Kind, feature, once
from fluxforge_collector.config.features import FeatureOptions

OWN: list[Feature] = []
"""The declared features of bars alone, in catalogue order."""


def top_imbalance(options: FeatureOptions) -> list[Binding]:
    """J, the levels of the imbalance that is kept."""
    return [{"j": min(5, options.max_levels)}]


def ranks(options: FeatureOptions) -> list[Binding]:
    """Ranks of order flow imbalance, k < K."""
    return [{"k": k} for k in range(options.ofi_levels)]


def _declare(
    name: str,
    statistic: str,
    description: str,
    unit: str,
    null: str,
    *,
    over: Callable[[FeatureOptions], Iterable[Binding]] = once,
    dtype: Dtype = Dtype.F64,
    trades: bool = False,
) -> None:
    """Declare a merged statistic under a bar's name for it."""

    def compute(window: Window, **binding: int) -> Float64Array:
        return window[statistic.format(**binding)]

    compute.__doc__ = description
    feature(OWN, name, family="bar", kind=Kind.BAR, unit=unit, null=null, formula=statistic, over=over, dtype=dtype,
            trades=trades)(compute)  # fmt: skip


_declare("n_rows", "n_rows", "Silver rows.", "count", "never", dtype=Dtype.U32)
_declare("n_pair", "n_pair", "Unbroken book pairs.", "count", "never", dtype=Dtype.U32)
_declare("n_break", "n_break", "Valid book events without an unbroken predecessor.", "count", "never", dtype=Dtype.U32)
_declare("mid_open", "mid_first", "First observed mid, not the previous close.", "px", "no book")
_declare("mid_high", "mid_max", "Highest mid.", "px", "no book")
_declare("mid_low", "mid_min", "Lowest mid.", "px", "no book")
_declare("mid_close", "mid", "Last mid.", "px", "no book")
_declare("trade_open", "trade_first", "First price traded.", "px", "no trade", trades=True)
_declare("trade_high", "trade_high", "Highest price traded.", "px", "no trade", trades=True)
_declare("trade_low", "trade_low", "Lowest price traded.", "px", "no trade", trades=True)
_declare("trade_close", "trade_last", "Last price traded.", "px", "no trade", trades=True)


@feature(
    OWN, "vwap", family="bar", kind=Kind.BAR, unit="px", null="no trade", formula="Σ qvol/Σ vol", trades=True
)  # fmt: skip
def volume_weighted_price(window: Window) -> Float64Array:
    """Volume-weighted price of the trades."""
    return divide(window["qvol"], window["vol"])


for _name, _what, _unit in (
    ("buy_vol", "Volume taken by buyers.", "base"),
    ("sell_vol", "Volume taken by sellers.", "base"),
    ("buy_qvol", "Value taken by buyers.", "quote"),
    ("sell_qvol", "Value taken by sellers.", "quote"),
):
    _declare(_name, _name, _what, _unit, "no trades feed", trades=True)
_declare("n_buy", "n_buy", "Trades taken by buyers.", "count", "no trades feed", dtype=Dtype.U32, trades=True)
_declare("n_sell", "n_sell", "Trades taken by sellers.", "count", "no trades feed", dtype=Dtype.U32, trades=True)
_declare("rv", "ret_sq", "Realised variance: the square of rvol.", "1", "n_pair = 0")
_declare("ofi_l{k}_sum", "ofi_l{k}", "Order flow imbalance at one rank.", "base", "n_pair = 0", over=ranks)
_declare("spread_bps_close", "spread_bps", "Spread of the last book.", "bps", "no book")
_declare("microprice_close", "microprice", "Microprice of the last book.", "px", "no book")
_declare("imb_l0_close", "imb_l0", "Imbalance of the best quotes of the last book.", "1", "no book")
_declare(
    "imb_top{j}_close", "imb_top{j}", "Imbalance of the best J levels of the last book.", "1", "no book",
    over=top_imbalance,
)  # fmt: skip
