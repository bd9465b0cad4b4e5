"""The last valid book of each row as a struct of arrays, and what several static features share. No feature is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fluxforge_assets.tables import Binding
from fluxforge_collector.config.features import FeatureOptions

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

BPS = 1e4
EDGE_BPS = 1e-6
"""A level this close below a band's edge lies on it, hence in the outer band (catalogue 2.9)."""


def relative_difference(x: Float64Array, y: Float64Array) -> Float64Array:
    """R(x, y) = (x − y)/(x + y); NaN where x + y ≤ 0 or either is NaN."""
    return divide(x - y, x + y)


def divide(numerator: Float64Array, denominator: Float64Array) -> Float64Array:
    """The quotient; NaN where the denominator is not positive or either is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Float64Array = numerator / denominator
        defined = denominator > 0
    if not defined.all():
        quotient[~defined] = np.nan
    return quotient


@dataclass(frozen=True)
class Side:
    """One side of every row's book.

    `price`, `size`: float64 (M, n), best level first, NaN where the level is missing; `levels`: int64 (n,), 0 where
    the row has no book; `mid`: float64 (n,), NaN there; `top`: N, the levels given as columns.
    """

    price: Float64Array
    size: Float64Array
    levels: Int64Array
    mid: Float64Array
    top: int

    @cached_property
    def is_complete(self) -> bool:
        """Whether no row misses a level."""
        return bool((self.levels == len(self.price)).all())

    @cached_property
    def is_truncated(self) -> npt.NDArray[np.bool_]:
        """Whether the side may go on beyond the levels read, shape (n,)."""
        truncated: npt.NDArray[np.bool_] = self.levels == len(self.price)
        return truncated

    @cached_property
    def top_levels(self) -> Int64Array:
        """Number of levels among the best N, shape (n,)."""
        return np.minimum(self.levels, self.top)

    def without_book(self, values: Float64Array) -> Float64Array:
        """The values, set to NaN in rows without a book; in place."""
        if not self.is_complete:
            values[self.levels == 0] = np.nan
        return values

    def present(self, values: Float64Array) -> Float64Array:
        """Values per level with 0 for missing levels; rows without a book stay NaN. Not a copy if none is missing."""
        if self.is_complete:
            return values
        filled = np.nan_to_num(values, nan=0.0)
        filled[:, self.levels == 0] = np.nan
        return filled

    @cached_property
    def filled_size(self) -> Float64Array:
        """Sizes, 0 where the level is missing, shape (M, n)."""
        return self.present(self.size)

    @cached_property
    def value(self) -> Float64Array:
        """Price times size in quote, 0 where the level is missing, shape (M, n)."""
        return self.present(self.price * self.size)

    @cached_property
    def distance(self) -> Float64Array:
        """Distance from the mid, bps, positive; NaN where the level is missing, shape (M, n)."""
        distance: Float64Array = np.abs(self.price - self.mid)
        distance *= BPS
        distance /= self.mid
        return distance

    @cached_property
    def filled_distance(self) -> Float64Array:
        """Distance from the mid, bps, 0 where the level is missing, shape (M, n)."""
        return self.present(self.distance)

    @cached_property
    def reach(self) -> Float64Array:
        """Distance of the deepest level, bps, shape (n,)."""
        return self._distance_of(self.levels)

    def _distance_of(self, ordinal: Int64Array) -> Float64Array:
        deepest = np.maximum(ordinal - 1, 0)[None, :]
        distance: Float64Array = np.take_along_axis(self.distance, deepest, axis=0)[0]
        return distance

    @cached_property
    def top_reach(self) -> Float64Array:
        """Distance of the deepest of the best N levels, bps, shape (n,)."""
        return self._distance_of(self.top_levels)

    @cached_property
    def extents(self) -> list[tuple[float, float]]:
        """Per level, the least and greatest distance over all rows, bps; (inf, −inf) where no row has the level."""
        nearest = np.fmin.reduce(self.distance, axis=1, initial=np.inf)
        farthest = np.fmax.reduce(self.distance, axis=1, initial=-np.inf)
        return list(zip(nearest.tolist(), farthest.tolist(), strict=True))

    @cached_property
    def cumulative(self) -> Float64Array:
        """Size of the best 1 … N levels that exist, shape (N, n)."""
        return np.cumsum(self.filled_size[: self.top], axis=0)

    @cached_property
    def share(self) -> Float64Array:
        """Size of each of the best N levels over that of all of them, shape (N, n)."""
        share: Float64Array = self.filled_size[: self.top] / self.cumulative[-1]
        return share


@dataclass(frozen=True)
class Books:
    """The last valid book of each row.

    `bid_price`, `bid_size`, `ask_price`, `ask_size`: float64 C-contiguous (M, n), best level first, NaN where the
    level is missing; `bid_levels`, `ask_levels`: int64 (n,), both 0 where the row has no book.
    """

    bid_price: Float64Array
    bid_size: Float64Array
    ask_price: Float64Array
    ask_size: Float64Array
    bid_levels: Int64Array
    ask_levels: Int64Array
    options: FeatureOptions
    known: dict[tuple[object, ...], Float64Array] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: tuple[object, ...], compute: Callable[[], Float64Array]) -> Float64Array:
        """What `compute` gives, computed once per key: for intermediates that carry a parameter."""
        if key not in self.known:
            self.known[key] = compute()
        return self.known[key]

    @cached_property
    def mid(self) -> Float64Array:
        """Mid price, shape (n,)."""
        total: Float64Array = self.bid_price[0] + self.ask_price[0]
        total /= 2.0
        return total

    @cached_property
    def spread_bps(self) -> Float64Array:
        """Spread relative to the mid, bps, shape (n,)."""
        relative: Float64Array = (self.ask_price[0] - self.bid_price[0]) * BPS
        relative /= self.mid
        return relative

    @cached_property
    def bid(self) -> Side:
        """The bids."""
        return Side(self.bid_price, self.bid_size, self.bid_levels, self.mid, self.options.max_levels)

    @cached_property
    def ask(self) -> Side:
        """The asks."""
        return Side(self.ask_price, self.ask_size, self.ask_levels, self.mid, self.options.max_levels)

    def side(self, name: str) -> Side:
        """The side named `bid` or `ask`."""
        return self.bid if name == "bid" else self.ask

    @cached_property
    def imbalance(self) -> Float64Array:
        """Imbalance of the best quotes, shape (n,)."""
        return relative_difference(self.bid_size[0], self.ask_size[0])


def sides(options: FeatureOptions) -> list[Binding]:
    """Both sides."""
    del options
    return [{"side": "bid"}, {"side": "ask"}]


def short_number(value: float) -> str:
    """A number as part of a column name: %g, with `p` for the point."""
    text = str(int(value)) if value == int(value) else f"{value:g}"
    return text.replace(".", "p")
