"""Family J: activity and coverage of a window."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import Float64Array, divide
from fluxforge_assets.features.registry import WINDOWS
from fluxforge_assets.features.window import Window
from fluxforge_assets.tables import Dtype, Kind, feature


@feature(WINDOWS, "n_book", family="J", kind=Kind.ROLLING, unit="count", formula="Σ n_book", dtype=Dtype.U32)
def book_count(window: Window) -> Float64Array:
    """Valid book events."""
    return window["n_book"]


@feature(WINDOWS, "cover", family="J", kind=Kind.ROLLING, unit="1", formula="min(1, pair_us/h)")
def cover(window: Window) -> Float64Array:
    """Share of the window with a live book."""
    return np.minimum(window["pair_us"] / (window.seconds * 1e6), 1.0)


@feature(WINDOWS, "quote_rate", family="J", kind=Kind.ROLLING, unit="1/s", formula="n_book/h_s")
def quote_rate(window: Window) -> Float64Array:
    """Valid book events a second."""
    return window["n_book"] / window.seconds


@feature(
    WINDOWS, "n_trade", family="J", kind=Kind.ROLLING, unit="count", null="no trades feed", formula="Σ n_trade",
    dtype=Dtype.U32, trades=True,
)  # fmt: skip
def trade_count(window: Window) -> Float64Array:
    """Valid trades."""
    return window["n_trade"]


@feature(
    WINDOWS, "trade_rate", family="J", kind=Kind.ROLLING, unit="1/s", null="no trades feed", formula="n_trade/h_s",
    trades=True,
)  # fmt: skip
def trade_rate(window: Window) -> Float64Array:
    """Valid trades a second; one sweep prints many."""
    return window["n_trade"] / window.seconds


@feature(
    WINDOWS, "quote_trade_ratio", family="J", kind=Kind.ROLLING, unit="1", null="no trade, or no trades feed",
    formula="n_book/n_trade", trades=True,
)  # fmt: skip
def quote_trade_ratio(window: Window) -> Float64Array:
    """Book events per trade."""
    return divide(window["n_book"], window["n_trade"])
