"""How statistics of buckets merge into longer windows: rolling on the bucket grid, or grouped into bars.

Nothing old is ever subtracted. A rolling window is a fixed tree of merges that depends on its own buckets only, so
where the rows were cut into chunks changes no bit of it. No statistic is known here, only sums, extremes, firsts, lasts
and moments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np

from fluxforge_assets.features.books import Float64Array, Int64Array

State = tuple[Float64Array, ...]
ByLength = dict[int, State]
"""Merged arrays by the window's length in buckets."""
Combine = Callable[[int, State, State, State], None]
"""Merge an older and a newer state into the third; the number names the step, for weights kept per step."""

Weights = list[tuple[Float64Array, Float64Array]]
"""Per merge, what Chan's rule takes from the counts: n'/(n + n') and n n'/(n + n')."""


class Merger(Protocol):
    """Merges a statistic of rows over windows. Inputs have one value per row; NaN is null and is skipped."""

    def add(self, values: Float64Array) -> ByLength:
        """Sums."""

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""

    def moments(
        self, count: str, counts: Float64Array, means: State, products: tuple[tuple[int, int], ...]
    ) -> ByLength:
        """Means and (co-)moments by Chan's rule.

        `count` names the counts, so that their weights are computed once. `means` holds the means and then one array
        of squared deviations or co-moments per entry of `products`, which names the two means it is taken about.
        """

    def at_rows(self, merged: Float64Array, shift: int) -> Float64Array:
        """Of merged values, those of each window wanted, `shift` buckets earlier."""

    def own(self, values: Float64Array) -> Float64Array:
        """Values of the row at the end of each window wanted, NaN where there is none."""


def parts_of(length: int) -> list[int]:
    """The powers of two that sum to a length, largest first."""
    return [1 << bit for bit in reversed(range(length.bit_length())) if length >> bit & 1]


class Rolling:
    """Windows of given lengths ending at wanted buckets, merged by doubling: W_2k(t) = W_k(t − k) with W_k(t).

    `positions`: bucket of each row, ascending from 0; `wanted`: buckets asked for, ascending; both relative to the
    first bucket that matters, `size` buckets in all.
    """

    def __init__(self, positions: Int64Array, wanted: Int64Array, size: int, lengths: tuple[int, ...]) -> None:
        self._rows = _as_slice(positions)
        self._wanted = wanted
        self._size = size
        self._lengths = lengths
        self._weights: dict[str, Weights] = {}

    @cached_property
    def _largest(self) -> int:
        return max(parts_of(length)[0] for length in self._lengths)

    def _on_grid(self, values: Float64Array, neutral: float) -> Float64Array:
        grid = np.full(self._size, neutral)
        grid[self._rows] = values
        if not np.isnan(neutral):
            missing = np.isnan(grid)
            if missing.any():
                grid[missing] = neutral
        return grid

    def _fold(self, state: State, combine: Combine) -> ByLength:
        powers = {1: state}
        step, length = 0, 1
        while length < self._largest:
            powers[2 * length] = _joined(step, length, powers[length], powers[length], combine)
            step += 1
            length *= 2
        merged: ByLength = {}
        for whole in self._lengths:
            first, *rest = parts_of(whole)
            merged[whole] = powers[first]
            offset = first
            for part in rest:
                merged[whole] = _joined(step, offset, powers[part], merged[whole], combine)
                offset += part
                step += 1
        return merged

    def add(self, values: Float64Array) -> ByLength:
        """Sums."""
        return self._fold((self._on_grid(values, 0.0),), _add)

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""
        return self._fold((self._on_grid(values, neutral),), _minimum)

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""
        return self._fold((self._on_grid(values, neutral),), _maximum)

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""
        return self._fold((self._on_grid(values, np.nan),), _first)

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""
        return self._fold((self._on_grid(values, np.nan),), _last)

    def moments(
        self, count: str, counts: Float64Array, means: State, products: tuple[tuple[int, int], ...]
    ) -> ByLength:
        """Means and (co-)moments by Chan's rule."""
        if count not in self._weights:
            weights: Weights = []

            def weigh(step: int, older: State, newer: State, merged: State) -> None:
                del step
                total = older[0] + newer[0]
                share = newer[0] / np.maximum(total, 1.0)
                weights.append((share, share * older[0]))
                merged[0][:] = total

            self._fold((self._on_grid(counts, 0.0),), weigh)
            self._weights[count] = weights
        known = self._weights[count]
        n_means = len(means) - len(products)

        def combine(step: int, older: State, newer: State, merged: State) -> None:
            share, cross = known[step]
            deltas = [newer[i] - older[i] for i in range(n_means)]
            for i, (x, y) in enumerate(products, start=n_means):
                np.add(older[i], newer[i], out=merged[i])
                between = deltas[x] * deltas[y]
                between *= cross
                np.add(merged[i], between, out=merged[i])
            for i, delta in enumerate(deltas):
                np.add(older[i], delta * share, out=merged[i])

        return self._fold(tuple(self._on_grid(values, 0.0) for values in means), combine)

    def at_rows(self, merged: Float64Array, shift: int) -> Float64Array:
        """Of merged values, those of each window wanted, `shift` buckets earlier."""
        found: Float64Array = merged[_as_slice(self._wanted - shift)]
        return found

    def own(self, values: Float64Array) -> Float64Array:
        """Values of the row at the end of each window wanted, NaN where there is none."""
        return self.at_rows(self._on_grid(values, np.nan), 0)


class Grouped:
    """One window per group of neighbouring rows: bars. `starts` is the first row of each group, ascending from 0."""

    def __init__(self, starts: Int64Array, rows: int, length: int) -> None:
        self._starts = starts
        self._sizes = np.diff(starts, append=rows)
        self._ordinals = np.arange(rows)
        self._length = length

    def add(self, values: Float64Array) -> ByLength:
        """Sums."""
        return {self._length: (self._sum(values),)}

    def _sum(self, values: Float64Array) -> Float64Array:
        total: Float64Array = np.add.reduceat(_filled(values, 0.0), self._starts)
        return total

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""
        return {self._length: (np.minimum.reduceat(_filled(values, neutral), self._starts),)}

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""
        return {self._length: (np.maximum.reduceat(_filled(values, neutral), self._starts),)}

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""
        past = len(self._ordinals)
        index = np.minimum.reduceat(np.where(np.isnan(values), past, self._ordinals), self._starts)
        return {self._length: (np.where(index < past, values[np.minimum(index, past - 1)], np.nan),)}

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""
        index = np.maximum.reduceat(np.where(np.isnan(values), -1, self._ordinals), self._starts)
        return {self._length: (np.where(index >= 0, values[index], np.nan),)}

    def moments(
        self, count: str, counts: Float64Array, means: State, products: tuple[tuple[int, int], ...]
    ) -> ByLength:
        """Means and (co-)moments in two passes: the means, then deviations from them."""
        del count
        total = np.maximum(self._sum(counts), 1.0)
        n_means = len(means) - len(products)
        merged = [self._sum(counts * values) / total for values in means[:n_means]]
        deltas = [
            _filled(values - np.repeat(mean, self._sizes), 0.0)
            for values, mean in zip(means[:n_means], merged, strict=True)
        ]
        for within, (x, y) in zip(means[n_means:], products, strict=True):
            merged.append(self._sum(within) + self._sum(counts * deltas[x] * deltas[y]))
        return {self._length: tuple(merged)}

    def at_rows(self, merged: Float64Array, shift: int) -> Float64Array:
        """Merged values, which are those of each group already."""
        del shift
        return merged

    def own(self, values: Float64Array) -> Float64Array:
        """Values of the last row of each group."""
        found: Float64Array = values[self._starts + self._sizes - 1]
        return found


def _as_slice(positions: Int64Array) -> slice | Int64Array:
    """Positions as a slice where they are neighbours: it copies nothing."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _filled(values: Float64Array, neutral: float) -> Float64Array:
    missing = np.isnan(values)
    return np.where(missing, neutral, values) if missing.any() else values


def _joined(step: int, offset: int, older: State, newer: State, combine: Combine) -> State:
    """`older` as it was `offset` buckets ago, merged with `newer`; the first buckets have nothing older."""
    merged = tuple(np.empty_like(values) for values in newer)
    for target, values in zip(merged, newer, strict=True):
        target[:offset] = values[:offset]
    combine(
        step,
        tuple(values[:-offset] for values in older),
        tuple(values[offset:] for values in newer),
        tuple(values[offset:] for values in merged),
    )
    return merged


def _add(step: int, older: State, newer: State, merged: State) -> None:
    del step
    np.add(older[0], newer[0], out=merged[0])


def _minimum(step: int, older: State, newer: State, merged: State) -> None:
    del step
    np.minimum(older[0], newer[0], out=merged[0])


def _maximum(step: int, older: State, newer: State, merged: State) -> None:
    del step
    np.maximum(older[0], newer[0], out=merged[0])


def _first(step: int, older: State, newer: State, merged: State) -> None:
    del step
    merged[0][:] = np.where(np.isnan(older[0]), newer[0], older[0])


def _last(step: int, older: State, newer: State, merged: State) -> None:
    del step
    merged[0][:] = np.where(np.isnan(newer[0]), older[0], newer[0])
