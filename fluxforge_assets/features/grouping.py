"""How statistics of buckets merge into windows that follow one another: bars. No statistic is known here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from fluxforge_assets.features.books import Float64Array, Int64Array
from fluxforge_assets.features.merging import Arrays, ByLength

Merge = Callable[[Float64Array, Int64Array, Float64Array], None]


@dataclass(frozen=True)
class Grouping:
    """Neighbouring windows put together: `starts` is the first of each group, ascending from 0, shape (groups,).

    `length`: of the groups, in buckets; `source`: length of what is put together, 0 for the rows.
    """

    length: int
    source: int
    starts: Int64Array


class Grouped:
    """Windows that follow one another, for several lengths: bars. A longer one is put together from shorter ones."""

    def __init__(self, groupings: Sequence[Grouping]) -> None:
        self._groupings = groupings

    def _fold(self, values: Float64Array, merge: str) -> ByLength:
        done = {0: values}
        for grouping in self._groupings:
            source = done[grouping.source]
            if len(grouping.starts) == len(source):
                done[grouping.length] = source
            else:
                done[grouping.length] = np.empty(len(grouping.starts))
                kernel: Merge = getattr(_kernels(), merge)
                kernel(_frozen(source), grouping.starts, done[grouping.length])
        return done

    def add(self, values: Float64Array) -> ByLength:
        """Sums."""
        return self._fold(_filled(values, 0.0), "add")

    def minimum(self, values: Float64Array, neutral: float) -> ByLength:
        """Smallest values; `neutral` where none."""
        return self._fold(_filled(values, neutral), "minimum")

    def maximum(self, values: Float64Array, neutral: float) -> ByLength:
        """Largest values; `neutral` where none."""
        return self._fold(_filled(values, neutral), "maximum")

    def first(self, values: Float64Array) -> ByLength:
        """Earliest values that are not NaN."""
        return self._fold(values, "first")

    def last(self, values: Float64Array) -> ByLength:
        """Latest values that are not NaN."""
        return self._fold(values, "last")

    def moments(
        self, count: str, counts: Float64Array, means: Arrays, products: tuple[tuple[int, int], ...]
    ) -> list[ByLength]:
        """Means and (co-)moments in two passes: the means, then deviations from them."""
        del count
        total = self.add(counts)
        n_means = len(means) - len(products)
        merged: list[ByLength] = [{0: _filled(values, 0.0)} for values in means]
        for grouping in self._groupings:
            n, starts, source, length = total[grouping.source], grouping.starts, grouping.source, grouping.length
            if len(starts) == len(n):
                for values in merged:
                    values[length] = values[source]
                continue
            for values in merged:
                values[length] = np.empty(len(starts))
            for values in merged[:n_means]:
                _kernels().mean(_frozen(n), _frozen(values[source]), starts, values[length])
            for values, (i, j) in zip(merged[n_means:], products, strict=True):
                x, y = merged[i], merged[j]
                _kernels().product(
                    _frozen(n), _frozen(x[source]), _frozen(y[source]), _frozen(values[source]), starts,
                    _frozen(x[length]), _frozen(y[length]), values[length],
                )  # fmt: skip
        return merged

    def at_rows(self, merged: Float64Array, shift: int) -> Float64Array:
        """Merged values, which are those of each group already."""
        del shift
        return merged


def _frozen(values: Float64Array) -> Float64Array:
    """A read-only view, whether the values come from a frame or from a merge: one type, compiled once."""
    view = values[:]
    view.setflags(write=False)
    return view


def _kernels() -> ModuleType:
    """The compiled merges: who only asks which columns there are compiles nothing."""
    from fluxforge_assets.kernels import groups  # noqa: PLC0415  as said

    return groups


def _filled(values: Float64Array, neutral: float) -> Float64Array:
    missing = np.isnan(values)
    return np.where(missing, neutral, values) if missing.any() else values
