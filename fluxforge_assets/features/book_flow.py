"""Family N: size added to and removed from the book over a window, matched by price."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import Float64Array, relative_difference, sides
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import Window
from fluxforge_assets.tables import Binding, Kind, feature
from fluxforge_collector.config.features import FeatureOptions


def changes(options: FeatureOptions) -> list[Binding]:
    """Added and removed, of both sides."""
    return [{**side, "change": change} for side in sides(options) for change in ("add", "rem")]


@feature(
    WINDOWS, "{side}_{change}_sum", family="N", kind=Kind.ROLLING, unit="base", null="n_pair = 0",
    formula="Σ add, Σ rem", over=changes, core=False,
)  # fmt: skip
def change_sum(window: Window, side: str, change: str) -> Float64Array:
    """Size added to or removed from a side; a lower bound, because snapshots net out what came and went."""
    return window[f"{side}_{change}"]


@feature(
    WINDOWS, "{side}_cancel_sum", family="N", kind=Kind.ROLLING, unit="base", null="n_pair = 0, or no trades feed",
    formula="max(0, Σ rem − Σ volume of takers on that side)", source="cf. Eisler, Bouchaud & Kockelkoren 2012",
    over=sides, trades=True, core=False,
)  # fmt: skip
def cancel_sum(window: Window, side: str) -> Float64Array:
    """Size removed from a side that takers do not explain."""
    takers = "sell_vol" if side == "bid" else "buy_vol"
    return np.maximum(window[f"{side}_rem"] - window[takers], 0.0)


@feature(
    WINDOWS, "book_flow_imb", family="N", kind=Kind.ROLLING, unit="1", null="n_pair = 0, or nothing changed",
    formula="R(bid_add + ask_rem, ask_add + bid_rem)", core=False,
)  # fmt: skip
def book_flow_imbalance(window: Window) -> Float64Array:
    """Imbalance of the flows that favour bids and asks: price-matched counterpart of ofi_l0_ratio."""
    return relative_difference(window["bid_add"] + window["ask_rem"], window["ask_add"] + window["bid_rem"])
