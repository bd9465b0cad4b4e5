"""Families A, B: prices, sizes, the mid, the spread, fair values near the mid."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import BPS, Books, Float64Array, divide, sides
from fluxforge_assets.features.registry import STATIC
from fluxforge_assets.tables import Binding, Dtype, Kind, feature
from fluxforge_collector.config.features import FeatureOptions


def levels_by_side(options: FeatureOptions) -> list[Binding]:
    """Levels l0 … l{N−1} of both sides."""
    return [{**side, "i": i} for side in sides(options) for i in range(options.max_levels)]


def weighted_mids(options: FeatureOptions) -> list[Binding]:
    """Depths of the weighted mids, those at most N."""
    return [{"w": w} for w in options.wmid_levels if w <= options.max_levels]


@feature(
    STATIC, "{side}_price_l{i}", family="A", kind=Kind.STATIC, unit="px", null="level missing", formula="p_i",
    source="raw", over=levels_by_side,
)  # fmt: skip
def level_price(books: Books, side: str, i: int) -> Float64Array:
    """Price of a level."""
    price: Float64Array = books.side(side).price[i]
    return price


@feature(
    STATIC, "{side}_size_l{i}", family="A", kind=Kind.STATIC, unit="base", null="level missing", formula="q_i",
    source="raw", over=levels_by_side,
)  # fmt: skip
def level_size(books: Books, side: str, i: int) -> Float64Array:
    """Size of a level."""
    size: Float64Array = books.side(side).size[i]
    return size


@feature(
    STATIC, "{side}_levels", family="A", kind=Kind.STATIC, unit="count", null="n_book = 0", formula="n ≤ M",
    source="raw", over=sides, dtype=Dtype.U32,
)  # fmt: skip
def level_count(books: Books, side: str) -> Float64Array:
    """Number of levels kept."""
    shown = books.side(side)
    return shown.without_book(shown.levels.astype(np.float64))


@feature(
    STATIC, "mid", family="B", kind=Kind.STATIC, unit="px", null="n_book = 0", formula="(pb₀ + pa₀)/2"
)  # fmt: skip
def mid(books: Books) -> Float64Array:
    """Mid price."""
    return books.mid


@feature(STATIC, "spread", family="B", kind=Kind.STATIC, unit="px", null="n_book = 0", formula="pa₀ − pb₀")
def spread(books: Books) -> Float64Array:
    """Spread between the best quotes."""
    difference: Float64Array = books.ask_price[0] - books.bid_price[0]
    return difference


@feature(STATIC, "spread_bps", family="B", kind=Kind.STATIC, unit="bps", null="n_book = 0", formula="10⁴ s/m")
def spread_bps(books: Books) -> Float64Array:
    """Spread relative to the mid."""
    return books.spread_bps


@feature(
    STATIC, "spread_ticks", family="B", kind=Kind.STATIC, unit="ticks", null="n_book = 0, or tick_size unknown",
    formula="s/tick_size",
)  # fmt: skip
def spread_ticks(books: Books) -> Float64Array:
    """Spread in price increments."""
    tick = books.options.tick_size
    if tick is None:
        return np.full_like(books.mid, np.nan)
    ticks: Float64Array = (books.ask_price[0] - books.bid_price[0]) / tick
    return ticks


@feature(
    STATIC, "microprice", family="B", kind=Kind.STATIC, unit="px", null="n_book = 0",
    formula="(pb₀ qa₀ + pa₀ qb₀)/(qb₀ + qa₀)", source="Gatheral & Oomen 2010",
)  # fmt: skip
def microprice(books: Books) -> Float64Array:
    """Fair price: each side's price weighted by the other side's size."""
    bid_size, ask_size = books.bid_size[0], books.ask_size[0]
    weighted = books.bid_price[0] * ask_size
    weighted += books.ask_price[0] * bid_size
    return divide(weighted, bid_size + ask_size)


@feature(
    STATIC, "micro_dev_bps", family="B", kind=Kind.STATIC, unit="bps", null="n_book = 0",
    formula="10⁴ (microprice − m)/m = imb_l0 · spread_bps/2", source="Cartea, Donnelly & Jaimungal 2018",
)  # fmt: skip
def micro_deviation(books: Books) -> Float64Array:
    """Deviation of the microprice from the mid."""
    # the identity, because microprice − m loses the digits that matter on a tight spread
    deviation: Float64Array = books.imbalance * books.spread_bps
    deviation *= 0.5
    return deviation


@feature(
    STATIC, "wmid_top{w}_dev_bps", family="B", kind=Kind.STATIC, unit="bps", null="n_book = 0",
    formula="10⁴ (W − m)/m, W = Σ(pb_i qa_i + pa_i qb_i)/Σ(qb_i + qa_i), i < min(w, n_b, n_a)",
    source="cf. Cao, Hansch & Wang 2009", over=weighted_mids,
)  # fmt: skip
def weighted_mid_deviation(books: Books, w: int) -> Float64Array:
    """Deviation of the mid weighted over several levels from the mid."""
    n = len(books.mid)
    weighted, total = np.zeros(n), np.zeros(n)
    complete = books.bid.is_complete and books.ask.is_complete
    for i in range(w):
        bid_size, ask_size = books.bid_size[i], books.ask_size[i]
        gap = (books.bid_price[i] - books.mid) * ask_size
        gap += (books.ask_price[i] - books.mid) * bid_size
        size = bid_size + ask_size
        if not complete:
            missing = np.isnan(size)
            gap[missing] = 0.0
            size[missing] = 0.0
        weighted += gap
        total += size
    weighted *= BPS
    weighted /= books.mid
    return divide(weighted, total)
