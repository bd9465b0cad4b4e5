"""Family D: depth and imbalance in bands of distance from the mid, and how far the visible book reaches."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fluxforge_assets.features.books import (
    EDGE_BPS,
    Books,
    Float64Array,
    Side,
    relative_difference,
    short_number,
    sides,
)
from fluxforge_assets.features.registry import STATIC
from fluxforge_assets.tables import Binding, Kind, feature
from fluxforge_collector.config.features import FeatureOptions


@dataclass(frozen=True, slots=True)
class Band:
    """Distances from `low` up to, not including, `high`, bps; its text is its part of a column name."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{short_number(self.low)}_{short_number(self.high)}bps"


@dataclass(frozen=True, slots=True)
class Edge:
    """All distances below `high`, bps; its text is its part of a column name."""

    high: float

    def __str__(self) -> str:
        return f"{short_number(self.high)}bps"


def bands(options: FeatureOptions) -> list[Binding]:
    """The bands between neighbouring edges, from 0."""
    return [{"band": Band(low, high)} for low, high in pairwise((0.0, *options.bands_bps))]


def edges(options: FeatureOptions) -> list[Binding]:
    """The upper edges from the second on; up to the first, the band is the same column."""
    return [{"edge": Edge(high)} for high in options.bands_bps[1:]]


def bands_by_side(options: FeatureOptions) -> list[Binding]:
    """The bands of both sides."""
    return [{**side, **band} for side in sides(options) for band in bands(options)]


def edges_by_side(options: FeatureOptions) -> list[Binding]:
    """The upper edges of both sides."""
    return [{**side, **edge} for side in sides(options) for edge in edges(options)]


def depth_between(side: Side, low: float, high: float) -> Float64Array:
    """Size of the levels at distances in [low, high) bps; NaN in rows without a book; shape (n,)."""
    floor, ceiling = low - EDGE_BPS, high - EDGE_BPS
    total = np.where(side.levels > 0, 0.0, np.nan)
    for distance, size, (nearest, farthest) in zip(side.distance, side.filled_size, side.extents, strict=True):
        if nearest >= ceiling:
            break
        if nearest >= floor and farthest < ceiling:
            total += size
        elif farthest >= floor:
            total += size * ((distance >= floor) & (distance < ceiling))
    return total


def band_depth(books: Books, side: str, band: Band) -> Float64Array:
    """Size within a band, NaN where a full side ends before the band begins, shape (n,)."""

    def compute() -> Float64Array:
        shown = books.side(side)
        depth = depth_between(shown, band.low, band.high)
        depth[shown.is_truncated & (shown.reach < band.low - EDGE_BPS)] = np.nan
        return depth

    return books.once(("band", side, band), compute)


def edge_depth(books: Books, side: str, edge: Edge) -> Float64Array:
    """Size up to an edge, shape (n,)."""
    return books.once(("edge", side, edge), lambda: depth_between(books.side(side), 0.0, edge.high))


@feature(
    STATIC, "{side}_depth_{band}", family="D", kind=Kind.STATIC, unit="base",
    null="n_book = 0, or the band lies wholly beyond a full side", formula="Σ q_i, d_i in the band",
    over=bands_by_side,
)  # fmt: skip
def depth_in_band(books: Books, side: str, band: Band) -> Float64Array:
    """Size within a band of distances; a lower bound where a full side ends inside it."""
    return band_depth(books, side, band)


@feature(
    STATIC, "imb_{band}", family="D", kind=Kind.STATIC, unit="1", null="either depth null, or both 0",
    formula="R(bid_depth, ask_depth)", over=bands,
)  # fmt: skip
def imbalance_in_band(books: Books, band: Band) -> Float64Array:
    """Imbalance of the sizes within a band of distances."""
    return relative_difference(band_depth(books, "bid", band), band_depth(books, "ask", band))


@feature(
    STATIC, "{side}_depth_cum_{edge}", family="D", kind=Kind.STATIC, unit="base", null="n_book = 0",
    formula="Σ q_i, d_i below the edge", over=edges_by_side,
)  # fmt: skip
def depth_to_edge(books: Books, side: str, edge: Edge) -> Float64Array:
    """Size up to a distance."""
    return edge_depth(books, side, edge)


@feature(
    STATIC, "imb_cum_{edge}", family="D", kind=Kind.STATIC, unit="1", null="both depths 0",
    formula="R(bid_depth_cum, ask_depth_cum)", over=edges,
)  # fmt: skip
def imbalance_to_edge(books: Books, edge: Edge) -> Float64Array:
    """Imbalance of the sizes up to a distance."""
    return relative_difference(edge_depth(books, "bid", edge), edge_depth(books, "ask", edge))


@feature(
    STATIC, "{side}_reach_bps", family="D", kind=Kind.STATIC, unit="bps", null="n_book = 0",
    formula="d of the deepest level", over=sides,
)  # fmt: skip
def reach(books: Books, side: str) -> Float64Array:
    """Distance of the deepest level kept."""
    return books.side(side).reach
