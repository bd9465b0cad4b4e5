"""Family I: statistics of the trades of a bucket. All are null where the trades feed is not collected.

Accumulated by `kernels.trade_pass`; declared here.
"""

from __future__ import annotations

from fluxforge_assets.features.registry import statistic
from fluxforge_assets.tables import Dtype, Merge

_NO_TRADE = "no trade"


def _trade(
    name: str,
    description: str,
    unit: str,
    formula: str = "",
    *,
    merge: Merge = Merge.SUM,
    null: str = "no trades feed",
    dtype: Dtype = Dtype.F64,
    core: bool = True,
) -> None:
    statistic(
        name, description, family="I", merge=merge, unit=unit, null=null, formula=formula, dtype=dtype, trades=True,
        core=core,
    )  # fmt: skip


_trade("n_trade", "Valid trades", "count", dtype=Dtype.U32)
_trade("n_buy", "Trades taken by a buyer", "count", "ε = +1", dtype=Dtype.U32)
_trade("n_sell", "Trades taken by a seller", "count", "ε = −1", dtype=Dtype.U32)
_trade("n_unsigned", "Trades without a sign", "count", "ε = 0", dtype=Dtype.U32)
_trade("n_inferred", "Trades signed by the quote rule", "count", dtype=Dtype.U32)
_trade("vol", "Volume", "base", "Σ amount")
_trade("buy_vol", "Volume taken by buyers", "base", "Σ amount, ε = +1")
_trade("sell_vol", "Volume taken by sellers", "base", "Σ amount, ε = −1")
_trade("qvol", "Value traded", "quote", "Σ price · amount")
_trade("buy_qvol", "Value taken by buyers", "quote", "Σ price · amount, ε = +1")
_trade("sell_qvol", "Value taken by sellers", "quote", "Σ price · amount, ε = −1")
_trade("vol_sq", "Squared amounts", "base²", "Σ amount²")
_trade("max_qvol", "Largest trade, 0 if none", "quote", "max price · amount", merge=Merge.MAX)
_trade("large_qvol", "Value of large trades", "quote", "Σ price · amount ≥ L")
_trade("trade_first", "First price", "px", merge=Merge.FIRST, null=_NO_TRADE)
_trade("trade_high", "Highest price", "px", merge=Merge.MAX, null=_NO_TRADE)
_trade("trade_low", "Lowest price", "px", merge=Merge.MIN, null=_NO_TRADE)
_trade("trade_last", "Last price", "px", merge=Merge.LAST, null=_NO_TRADE)
_trade("es_n", "Trades with an effective spread", "count", dtype=Dtype.U32, core=False)
_trade("es_vol", "Volume with an effective spread", "base", "Σ amount", core=False)
_trade("es_wsum", "Effective spread weighted by volume", "base·bps", "Σ amount · 2ε(p − m)/m · 10⁴", core=False)
_trade("through_n", "Trades through the prevailing quote", "count", dtype=Dtype.U32, core=False)
_trade("through_vol", "Volume through the prevailing quote", "base", "Σ amount", core=False)
_trade("sign_n", "Products of neighbouring signs", "count", dtype=Dtype.U32)
_trade("sign_sum", "Sum of products of neighbouring signs", "1", "Σ ε_u ε_t", dtype=Dtype.I64)
_trade("roll_n", "Roll products", "count", dtype=Dtype.U32, core=False)
_trade("roll_sum", "Sum of Roll products", "1", "Σ ℓ_t ℓ_u", core=False)
_trade("dur_n", "Trade pairs", "count", dtype=Dtype.U32, core=False)
_trade("dur_mean", "Mean time between trades", "s", merge=Merge.CHAN, null="dur_n = 0", core=False)
_trade("dur_m2", "Squared deviations of the time between trades", "s²", merge=Merge.CHAN, null="dur_n = 0", core=False)
_trade("trade_lag_n", "Trades with an exchange time", "count", dtype=Dtype.U32)
_trade("trade_lag_sum", "Latency of the trades", "ms", "Σ (capture_ts − 1000 exchange_ts)/1000")
