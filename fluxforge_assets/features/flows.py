"""Family H: flows over the unbroken book pairs that close in a bucket.

Accumulated by `kernels.book_pass` (products of neighbouring returns by `features.returns`); declared here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fluxforge_assets.features.registry import statistic
from fluxforge_assets.tables import Binding, Dtype, Merge, once
from fluxforge_collector.config.features import FeatureOptions

_NO_PAIR = "n_pair = 0"


def ranks(options: FeatureOptions) -> Iterable[Binding]:
    """Ranks of multi-level order flow imbalance, k < K."""
    return ({"k": k} for k in range(options.ofi_levels))


def lags(options: FeatureOptions) -> Iterable[Binding]:
    """Lags of the autocovariance of bucket returns, j = 1 .. q − 1."""
    return ({"j": j} for j in range(1, options.vr_q))


def _sum(
    name: str,
    description: str,
    unit: str,
    formula: str,
    *,
    null: str = _NO_PAIR,
    over: Callable[[FeatureOptions], Iterable[Binding]] = once,
    core: bool = True,
) -> None:
    statistic(
        name, description, family="H", merge=Merge.SUM, unit=unit, null=null, formula=formula, over=over, core=core
    )


def _whole(name: str, description: str, unit: str, formula: str, dtype: Dtype) -> None:
    statistic(name, description, family="H", merge=Merge.SUM, unit=unit, formula=formula, dtype=dtype)


_whole("pair_us", "Time covered by the pairs", "us", "Σ dt", Dtype.I64)
_sum("log_ret", "Log-return of the mid over the pairs", "1", "Σ r")
_sum("tick_rv", "Squared log-returns of the mid, pair by pair", "1", "Σ r²")
_whole("n_mid_up", "Pairs that raised the mid", "count", "direction = +1", Dtype.U32)
_whole("n_mid_dn", "Pairs that lowered the mid", "count", "direction = −1", Dtype.U32)
_sum("ofi_l{k}", "Order flow imbalance at one rank of both sides", "base", "Σ e_k", over=ranks)
_sum("of_bid_l0", "Order flow of the best bid", "base", "Σ fb₀")
_sum("of_ask_l0", "Order flow of the best ask", "base", "Σ fa₀")
_sum("ofi_abs_l0", "Gross order flow at the best quotes", "base", "Σ |e₀|")
for _side in ("bid", "ask"):
    _sum(f"{_side}_add", f"Size added to {_side}s, matched by price", "base", "Σ max(δ, 0)", core=False)
    _sum(f"{_side}_rem", f"Size removed from {_side}s, matched by price", "base", "Σ max(−δ, 0)", core=False)
_sum("tw_spread", "Spread weighted by time", "bps·us", "Σ dt · spread_bps(p)", null="never")
_sum("tw_imb", "Imbalance of the best quotes weighted by time", "us", "Σ dt · imb_l0(p)", null="never")
_whole("tight_us", "Time with a tight spread", "us", "Σ dt, p tight", Dtype.I64)
_whole("wide_us", "Time with a wide spread", "us", "Σ dt, p wide", Dtype.I64)
for _name, _what, _unit in (("rs", "spread", "bps"), ("rd", "depth of the best N levels", "base")):
    for _part, _text, _square in (
        ("mx", f"Mean {_what} before the pair", _unit),
        ("m2x", f"Sum of squared deviations of the {_what} before the pair", f"{_unit}²"),
        ("my", f"Mean change of the {_what}", _unit),
        ("cxy", f"Co-moment of the {_what} and its change", f"{_unit}²"),
    ):
        statistic(f"{_name}_{_part}", _text, family="H", merge=Merge.CHAN, unit=_square, null=_NO_PAIR, core=False)
_sum("ret_bv", "Absolute returns of this bucket and the one before, multiplied", "1", "|r_k| |r_k−1|")
_sum("ret_ac{j}", "Returns of this bucket and the one j before, multiplied", "1", "r_k r_k−j", over=lags)
