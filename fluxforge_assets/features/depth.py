"""Family C: depth and imbalance by level."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.features.books import Books, Float64Array, relative_difference, sides
from fluxforge_assets.features.registry import STATIC
from fluxforge_assets.tables import Binding, Kind, feature
from fluxforge_collector.config.features import FeatureOptions


def levels(options: FeatureOptions) -> list[Binding]:
    """Levels l0 … l{N−1}."""
    return [{"i": i} for i in range(options.max_levels)]


def tops(options: FeatureOptions) -> list[Binding]:
    """The best 2 … N levels together."""
    return [{"m": m} for m in range(2, options.max_levels + 1)]


def tops_by_side(options: FeatureOptions) -> list[Binding]:
    """The best 2 … N levels together, of both sides."""
    return [{**side, **top} for side in sides(options) for top in tops(options)]


@feature(
    STATIC, "imb_l{i}", family="C", kind=Kind.STATIC, unit="1", null="level missing on either side",
    formula="R(qb_i, qa_i)", source="Gould & Bonart 2016", over=levels,
)  # fmt: skip
def level_imbalance(books: Books, i: int) -> Float64Array:
    """Imbalance of the sizes of a level; level 0 is the queue imbalance."""
    if i == 0:
        return books.imbalance
    return relative_difference(books.bid_size[i], books.ask_size[i])


@feature(
    STATIC, "{side}_depth_top{m}", family="C", kind=Kind.STATIC, unit="base", null="n_book = 0",
    formula="Σ q_i, i < min(m, n)", over=tops_by_side,
)  # fmt: skip
def depth_of_top(books: Books, side: str, m: int) -> Float64Array:
    """Size of the best m levels that exist."""
    depth: Float64Array = books.side(side).cumulative[m - 1]
    return depth


@feature(
    STATIC, "imb_top{m}", family="C", kind=Kind.STATIC, unit="1", null="n_book = 0", formula="R(Qb_m, Qa_m)",
    source="Cao, Hansch & Wang 2009", over=tops,
)  # fmt: skip
def imbalance_of_top(books: Books, m: int) -> Float64Array:
    """Imbalance of the best m levels that exist."""
    return relative_difference(books.bid.cumulative[m - 1], books.ask.cumulative[m - 1])


@feature(
    STATIC, "{side}_depth_quote", family="C", kind=Kind.STATIC, unit="quote", null="n_book = 0",
    formula="Σ p_i q_i, i < N", over=sides,
)  # fmt: skip
def depth_quote(books: Books, side: str) -> Float64Array:
    """Value of the best N levels."""
    shown = books.side(side)
    total: Float64Array = np.add.reduce(shown.value[: shown.top], axis=0)
    return total
