"""Family F: distance-weighted pressure and the cost of taking, from all M levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fluxforge_assets.features.books import (
    BPS,
    Books,
    Float64Array,
    Side,
    divide,
    relative_difference,
    short_number,
    sides,
)
from fluxforge_assets.features.registry import STATIC
from fluxforge_assets.tables import Binding, Kind, feature
from fluxforge_collector.config.features import FeatureOptions

FILLED = 1e-9
"""A notional is filled where at most this share of it remains (catalogue 2.9)."""


@dataclass(frozen=True, slots=True)
class Notional:
    """An amount of quote; its text is its part of a column name: 1000 is `1k`, 1 000 000 is `1m`."""

    quote: float

    def __str__(self) -> str:
        if self.quote % 1e6 == 0:
            return f"{int(self.quote / 1e6)}m"
        if self.quote % 1e3 == 0:
            return f"{int(self.quote / 1e3)}k"
        return short_number(self.quote)


def notionals(options: FeatureOptions) -> list[Binding]:
    """The notionals taken."""
    return [{"notional": Notional(quote)} for quote in options.impact_notionals]


def _decayed_depth(books: Books, side: str) -> Float64Array:
    def compute() -> Float64Array:
        shown = books.side(side)
        total = np.zeros(len(shown.levels))
        for size, distance in zip(shown.filled_size, shown.filled_distance, strict=True):
            total += size * np.exp(distance / -books.options.decay_bps)
        return total

    return books.once(("decay", side), compute)


def _size_by_distance(side: Side) -> Float64Array:
    total = np.zeros(len(side.levels))
    for size, distance in zip(side.filled_size, side.distance, strict=True):
        term = size / distance
        if not side.is_complete:
            term[np.isnan(distance)] = 0.0
        total += term
    return side.without_book(total)


def cost_of_taking(side: Side, notional: float, sign: float) -> Float64Array:
    """Distance of the average price from the mid, bps, shape (n,); NaN where the side holds less than the notional.

    Walks the levels from the best: each gives min(left, p·q) quote at its price. `sign`: +1 asks, −1 bids.
    """
    left = np.full(len(side.levels), notional)
    base = np.zeros(len(left))
    for price, value in zip(side.price, side.value, strict=True):
        taken = np.minimum(left, value)
        left -= taken
        taken /= price
        if not side.is_complete:
            taken[np.isnan(price)] = 0.0
        base += taken
        if not left.any():
            break
    cost = divide(np.full(len(base), notional), base)
    cost -= side.mid
    cost *= sign * BPS
    cost /= side.mid
    cost[~(left <= FILLED * notional)] = np.nan
    return cost


def impact_of(books: Books, side: str, notional: Notional) -> Float64Array:
    """Cost of taking a notional from a side, bps, shape (n,)."""
    sign = 1.0 if side == "ask" else -1.0
    return books.once(("impact", side, notional), lambda: cost_of_taking(books.side(side), notional.quote, sign))


@feature(
    STATIC, "{side}_depth_decay", family="F", kind=Kind.STATIC, unit="base", null="n_book = 0",
    formula="Σ q_i e^(−d_i/λ)", over=sides, core=False,
)  # fmt: skip
def decayed_depth(books: Books, side: str) -> Float64Array:
    """Size of a side, each level weighted less the farther it is from the mid."""
    return _decayed_depth(books, side)


@feature(
    STATIC, "imb_decay", family="F", kind=Kind.STATIC, unit="1", null="n_book = 0",
    formula="R(bid_depth_decay, ask_depth_decay)", core=False,
)  # fmt: skip
def decayed_imbalance(books: Books) -> Float64Array:
    """Imbalance of the decayed depths."""
    return relative_difference(_decayed_depth(books, "bid"), _decayed_depth(books, "ask"))


@feature(
    STATIC, "imb_invdist", family="F", kind=Kind.STATIC, unit="1", null="n_book = 0",
    formula="R(Σ qb_i/db_i, Σ qa_i/da_i)", core=False,
)  # fmt: skip
def inverse_distance_imbalance(books: Books) -> Float64Array:
    """Imbalance of the sizes, each divided by its distance from the mid."""
    return relative_difference(_size_by_distance(books.bid), _size_by_distance(books.ask))


@feature(
    STATIC, "buy_impact_bps_{notional}", family="F", kind=Kind.STATIC, unit="bps", null="asks hold less",
    formula="10⁴ (p̄ − m)/m, p̄ = x/base bought walking the asks", source="Irvine, Benston & Kandel 2000",
    over=notionals, core=False,
)  # fmt: skip
def buy_impact(books: Books, notional: Notional) -> Float64Array:
    """Cost of buying a notional at once."""
    return impact_of(books, "ask", notional)


@feature(
    STATIC, "sell_impact_bps_{notional}", family="F", kind=Kind.STATIC, unit="bps", null="bids hold less",
    formula="10⁴ (m − p̄)/m, p̄ = x/base sold walking the bids", source="Irvine, Benston & Kandel 2000",
    over=notionals, core=False,
)  # fmt: skip
def sell_impact(books: Books, notional: Notional) -> Float64Array:
    """Cost of selling a notional at once."""
    return impact_of(books, "bid", notional)


@feature(
    STATIC, "impact_skew_bps_{notional}", family="F", kind=Kind.STATIC, unit="bps", null="either impact null",
    formula="buy_impact − sell_impact", over=notionals, core=False,
)  # fmt: skip
def impact_skew(books: Books, notional: Notional) -> Float64Array:
    """Cost of buying less cost of selling; above 0, asks are thinner."""
    difference: Float64Array = impact_of(books, "ask", notional) - impact_of(books, "bid", notional)
    return difference
