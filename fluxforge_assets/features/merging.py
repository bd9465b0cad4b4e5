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

Arrays = tuple[Float64Array, ...]
ByLength = dict[int, Float64Array]
"""Merged values by the window's length in buckets."""
Merge = Callable[[Float64Array, Float64Array, Float64Array], object]
"""Merge older and newer values into the third array."""


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
        self, count: str, counts: Float64Array, means: Arrays, products: tuple[tuple[int, int], ...]
    ) -> list[ByLength]:
        """Means and (co-)moments by Chan's rule (catalogue 6.4).

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
        self._weights: dict[str, list[tuple[Float64Array, Float64Array]]] = {}
        self._keys: dict[int, int] = {}

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

    @cached_property
    def _plan(self) -> list[tuple[int, int, int, int]]:
        """The merges of the tree, in order: (key of the result, key of the newer, key of the older, its age).

        Keys up to the largest power of two are window lengths merged by doubling; the others are sums of parts, keyed
        by their place in the plan, so that two windows never share one by chance.
        """
        plan = [(2 << bit, 1 << bit, 1 << bit, 1 << bit) for bit in range(self._largest.bit_length() - 1)]
        for length in self._lengths:
            key, *rest = parts_of(length)
            age = key
            for part in rest:
                plan.append((-len(plan) - 1, key, part, age))
                key = -len(plan)
                age += part
            self._keys[length] = key
        return plan

    def _fold(self, values: Float64Array, merge: Merge) -> ByLength:
        """One array merged over every window."""
        done = {1: values}
        for key, newer, older, age in self._plan:
            merged = np.empty_like(values)
            merged[:age] = done[newer][:age]
            merge(done[older][:-age], done[newer][age:], merged[age:])
            done[key] = merged
        return {length: done[self._keys[length]] for length in self._lengths}

    def add(self, values: Float64Array) -> ByLength:
        """Sums."""
        return self._fold(self._on_grid(values, 0.0), np.add)

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""
        return self._fold(self._on_grid(values, neutral), np.minimum)

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""
        return self._fold(self._on_grid(values, neutral), np.maximum)

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""
        return self._fold(self._on_grid(values, np.nan), _first)

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""
        return self._fold(self._on_grid(values, np.nan), _last)

    def _weights_of(self, count: str, counts: Float64Array) -> list[tuple[Float64Array, Float64Array]]:
        """Per merge of the plan, what Chan's rule takes from the counts: n'/(n + n') and n n'/(n + n')."""
        if count not in self._weights:
            weights: list[tuple[Float64Array, Float64Array]] = []

            def weigh(older: Float64Array, newer: Float64Array, merged: Float64Array) -> None:
                np.add(older, newer, out=merged)
                share = newer / np.maximum(merged, 1.0)
                weights.append((share, share * older))

            self._fold(self._on_grid(counts, 0.0), weigh)
            self._weights[count] = weights
        return self._weights[count]

    def moments(
        self, count: str, counts: Float64Array, means: Arrays, products: tuple[tuple[int, int], ...]
    ) -> list[ByLength]:
        """Means and (co-)moments by Chan's rule."""
        n_means = len(means) - len(products)
        deltas: list[list[Float64Array]] = []
        merged_means = [self._fold_mean(count, counts, values, deltas) for values in means[:n_means]]
        merged_products = []
        for values, (x, y) in zip(means[n_means:], products, strict=True):
            steps = zip(deltas[x], deltas[y], self._weights_of(count, counts), strict=True)

            def merge(older: Float64Array, newer: Float64Array, merged: Float64Array) -> None:
                delta_x, delta_y, (_, cross) = next(steps)  # noqa: B023 - used within the turn of the loop
                np.multiply(delta_x, delta_y, out=merged)
                np.multiply(merged, cross, out=merged)
                np.add(merged, older, out=merged)
                np.add(merged, newer, out=merged)

            merged_products.append(self._fold(self._on_grid(values, 0.0), merge))
        return merged_means + merged_products

    def _fold_mean(
        self, count: str, counts: Float64Array, values: Float64Array, deltas: list[list[Float64Array]]
    ) -> ByLength:
        """A mean merged over every window; adds the differences merged on the way to `deltas`."""
        steps = iter(self._weights_of(count, counts))
        found: list[Float64Array] = []
        deltas.append(found)

        def merge(older: Float64Array, newer: Float64Array, merged: Float64Array) -> None:
            delta = newer - older
            found.append(delta)
            np.multiply(delta, next(steps)[0], out=merged)
            np.add(merged, older, out=merged)

        return self._fold(self._on_grid(values, 0.0), merge)

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
        return {self._length: self._sum(values)}

    def _sum(self, values: Float64Array) -> Float64Array:
        total: Float64Array = np.add.reduceat(_filled(values, 0.0), self._starts)
        return total

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""
        return {self._length: np.minimum.reduceat(_filled(values, neutral), self._starts)}

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""
        return {self._length: np.maximum.reduceat(_filled(values, neutral), self._starts)}

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""
        past = len(self._ordinals)
        index = np.minimum.reduceat(np.where(np.isnan(values), past, self._ordinals), self._starts)
        return {self._length: np.where(index < past, values[np.minimum(index, past - 1)], np.nan)}

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""
        index = np.maximum.reduceat(np.where(np.isnan(values), -1, self._ordinals), self._starts)
        return {self._length: np.where(index >= 0, values[index], np.nan)}

    def moments(
        self, count: str, counts: Float64Array, means: Arrays, products: tuple[tuple[int, int], ...]
    ) -> list[ByLength]:
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
        return [{self._length: values} for values in merged]

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


def _first(older: Float64Array, newer: Float64Array, merged: Float64Array) -> None:
    merged[:] = np.where(np.isnan(older), newer, older)


def _last(older: Float64Array, newer: Float64Array, merged: Float64Array) -> None:
    merged[:] = np.where(np.isnan(newer), older, newer)
