"""How statistics of buckets merge into longer windows, and those that roll over the bucket grid.

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
Merge = Callable[..., object]
"""Merge older with newer values into the array `out`, as a ufunc does."""


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
            merge(done[older][:-age], done[newer][age:], out=merged[age:])
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

            def weigh(older: Float64Array, newer: Float64Array, out: Float64Array) -> None:
                np.add(older, newer, out=out)
                share = newer / np.maximum(out, 1.0)
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

            def merge(older: Float64Array, newer: Float64Array, out: Float64Array) -> None:
                delta_x, delta_y, (_, cross) = next(steps)  # noqa: B023 - used within the turn of the loop
                np.multiply(delta_x, delta_y, out=out)
                np.multiply(out, cross, out=out)
                np.add(out, older, out=out)
                np.add(out, newer, out=out)

            merged_products.append(self._fold(self._on_grid(values, 0.0), merge))
        return merged_means + merged_products

    def _fold_mean(
        self, count: str, counts: Float64Array, values: Float64Array, deltas: list[list[Float64Array]]
    ) -> ByLength:
        """A mean merged over every window; adds the differences merged on the way to `deltas`."""
        steps = iter(self._weights_of(count, counts))
        found: list[Float64Array] = []
        deltas.append(found)

        def merge(older: Float64Array, newer: Float64Array, out: Float64Array) -> None:
            delta = newer - older
            found.append(delta)
            np.multiply(delta, next(steps)[0], out=out)
            np.add(out, older, out=out)

        return self._fold(self._on_grid(values, 0.0), merge)

    def at_rows(self, merged: Float64Array, shift: int) -> Float64Array:
        """Of merged values, those of each window wanted, `shift` buckets earlier."""
        found: Float64Array = merged[_as_slice(self._wanted - shift)]
        return found


def _as_slice(positions: Int64Array) -> slice | Int64Array:
    """Positions as a slice where they are neighbours: it copies nothing."""
    if len(positions) and positions[-1] - positions[0] + 1 == len(positions):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def _first(older: Float64Array, newer: Float64Array, out: Float64Array) -> None:
    out[:] = np.where(np.isnan(older), newer, older)


def _last(older: Float64Array, newer: Float64Array, out: Float64Array) -> None:
    out[:] = np.where(np.isnan(newer), older, newer)
