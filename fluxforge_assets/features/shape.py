"""Family E: the shape of the visible book, from the best N levels of a side."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import Books, Float64Array, Side, divide, relative_difference, sides
from fluxforge_assets.features.registry import STATIC
from fluxforge_assets.tables import Kind, feature


def _slope(side: Side) -> Float64Array:
    """Least-squares slope of cumulative size on distance, from centred sums."""
    count = side.top_levels
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x = np.add.reduce(side.filled_distance[: side.top], axis=0) / count
    # x is centred, so y needs no centring: any constant, such as the whole depth, keeps the digits
    xx, xy = np.zeros(len(count)), np.zeros(len(count))
    for i in range(side.top):
        x = side.distance[i] - mean_x
        if not side.is_complete:
            x[np.isnan(x)] = 0.0
        xx += x * x
        x *= side.cumulative[i] - side.cumulative[-1]
        xy += x
    slope = divide(xy, xx)
    slope[count < 3] = np.nan
    return slope


def slope_of(books: Books, side: str) -> Float64Array:
    """The slope of a side, shape (n,)."""
    return books.once(("slope", side), lambda: _slope(books.side(side)))


def weighted_distance_of(books: Books, side: str) -> Float64Array:
    """Distance of a side's volume-weighted price from the mid, shape (n,)."""

    def compute() -> Float64Array:
        shown = books.side(side)
        weighted = np.zeros(len(shown.levels))
        for i in range(shown.top):
            weighted += shown.share[i] * shown.filled_distance[i]
        return weighted

    return books.once(("wdist", side), compute)


@feature(
    STATIC, "{side}_slope", family="E", kind=Kind.STATIC, unit="base/bps", null="n < 3",
    formula="OLS slope, with intercept, of Σ_{j≤i} q_j on d_i", source="liquidity slope, cf. Næs & Skjeltorp 2006",
    over=sides, core=False,
)  # fmt: skip
def slope(books: Books, side: str) -> Float64Array:
    """Growth of cumulative size with distance."""
    return slope_of(books, side)


@feature(
    STATIC, "{side}_convexity", family="E", kind=Kind.STATIC, unit="1", null="n < 3",
    formula="trapezoid area of cumulative share on (d_i − d₀)/(d_{n−1} − d₀), minus ½", source="this catalogue",
    over=sides, core=False,
)  # fmt: skip
def convexity(books: Books, side: str) -> Float64Array:
    """How front-loaded the cumulative size is; above 0, more of it is near the mid than on a straight line."""
    shown = books.side(side)
    area = np.zeros(len(shown.levels))
    for i in range(1, shown.top):
        step = shown.distance[i] - shown.distance[i - 1]
        if not shown.is_complete:
            step[np.isnan(step)] = 0.0
        step *= shown.cumulative[i] + shown.cumulative[i - 1]
        area += step
    area *= 0.5
    area = divide(area, (shown.top_reach - shown.distance[0]) * shown.cumulative[-1])
    area -= 0.5
    area[shown.top_levels < 3] = np.nan
    return area


@feature(
    STATIC, "{side}_hhi", family="E", kind=Kind.STATIC, unit="1", null="n_book = 0", formula="Σ s_i², s_i = q_i/Q_N",
    source="Herfindahl", over=sides, core=False,
)  # fmt: skip
def concentration(books: Books, side: str) -> Float64Array:
    """Concentration of size over the levels: 1/n where equal, 1 where one level holds all."""
    shown = books.side(side)
    total = np.zeros(len(shown.levels))
    for i in range(shown.top):
        total += shown.share[i] * shown.share[i]
    return total


@feature(
    STATIC, "{side}_entropy", family="E", kind=Kind.STATIC, unit="1", null="n < 2", formula="−Σ s_i ln s_i/ln n",
    source="Shannon", over=sides, core=False,
)  # fmt: skip
def entropy(books: Books, side: str) -> Float64Array:
    """Evenness of size over the levels: 1 where equal, towards 0 where one level holds all."""
    shown = books.side(side)
    total = np.zeros(len(shown.levels))
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(shown.top):
            term = np.log(shown.share[i])
            term *= shown.share[i]
            if not shown.is_complete:
                term[shown.levels <= i] = 0.0
            total -= term
        total /= np.log(shown.top_levels)
    total[shown.top_levels < 2] = np.nan
    return total


@feature(
    STATIC, "{side}_wdist_bps", family="E", kind=Kind.STATIC, unit="bps", null="n_book = 0", formula="Σ s_i d_i",
    over=sides, core=False,
)  # fmt: skip
def weighted_distance(books: Books, side: str) -> Float64Array:
    """Distance of the side's volume-weighted price from the mid."""
    return weighted_distance_of(books, side)


@feature(
    STATIC, "{side}_gap_bps", family="E", kind=Kind.STATIC, unit="bps", null="n < 2", formula="d₁ − d₀", over=sides,
    core=False,
)  # fmt: skip
def gap(books: Books, side: str) -> Float64Array:
    """Distance from the best level to the next: the price jump if the best queue empties."""
    distance = books.side(side).distance
    step: Float64Array = distance[1] - distance[0]
    return step


@feature(
    STATIC, "slope_skew", family="E", kind=Kind.STATIC, unit="1", null="either slope null",
    formula="R(bid_slope, ask_slope)", core=False,
)  # fmt: skip
def slope_skew(books: Books) -> Float64Array:
    """Imbalance of the slopes."""
    return relative_difference(slope_of(books, "bid"), slope_of(books, "ask"))


@feature(
    STATIC, "wdist_skew", family="E", kind=Kind.STATIC, unit="1", null="n_book = 0",
    formula="R(ask_wdist, bid_wdist)", source="depth-weighted price pressure", core=False,
)  # fmt: skip
def weighted_distance_skew(books: Books) -> Float64Array:
    """Imbalance of the weighted distances; above 0, bids are closer."""
    return relative_difference(weighted_distance_of(books, "ask"), weighted_distance_of(books, "bid"))


@feature(
    STATIC, "cog_dev_bps", family="E", kind=Kind.STATIC, unit="bps", null="n_book = 0",
    formula="10⁴ (G − m)/m, G = Σ(pb_i qb_i + pa_i qa_i)/Σ(qb_i + qa_i), i < min(n_b, n_a, N)", core=False,
)  # fmt: skip
def centre_of_gravity(books: Books) -> Float64Array:
    """Deviation of the centre of gravity of both sides from the mid; below 0 where bids are heavier."""
    weighted, total = np.zeros(len(books.mid)), np.zeros(len(books.mid))
    complete = books.bid.is_complete and books.ask.is_complete
    for i in range(books.options.max_levels):
        bid_size, ask_size = books.bid_size[i], books.ask_size[i]
        term = ask_size * books.ask.distance[i]
        term -= bid_size * books.bid.distance[i]
        size = bid_size + ask_size
        if not complete:
            missing = np.isnan(size)
            term[missing] = 0.0
            size[missing] = 0.0
        weighted += term
        total += size
    return divide(weighted, total)
