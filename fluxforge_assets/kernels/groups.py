"""Statistics of neighbouring windows put together into longer ones: bars.

`starts` is the first index of each group, ascending from 0; a group ends where the next begins, the last at the end.
Results go to `out`, one value per group. NaN is skipped unless said otherwise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


@compiled
def end_of(starts: Int64Array, group: int, size: int) -> int:
    """The index after the last of a group."""
    return starts[group + 1] if group + 1 < len(starts) else size


@compiled
def add(values: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Sums; 0 where all are NaN."""
    for group in range(len(starts)):
        total = 0.0
        for i in range(starts[group], end_of(starts, group, len(values))):
            value = values[i]
            if value == value:  # noqa: PLR0124  not NaN
                total += value
        out[group] = total


@compiled
def minimum(values: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Smallest values; NaN is not allowed."""
    for group in range(len(starts)):
        least = values[starts[group]]
        for i in range(starts[group] + 1, end_of(starts, group, len(values))):
            least = min(least, values[i])
        out[group] = least


@compiled
def maximum(values: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Largest values; NaN is not allowed."""
    for group in range(len(starts)):
        most = values[starts[group]]
        for i in range(starts[group] + 1, end_of(starts, group, len(values))):
            most = max(most, values[i])
        out[group] = most


@compiled
def first(values: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Earliest values; NaN where all are NaN."""
    for group in range(len(starts)):
        i, end = starts[group], end_of(starts, group, len(values))
        while i + 1 < end and np.isnan(values[i]):
            i += 1
        out[group] = values[i]


@compiled
def last(values: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Latest values; NaN where all are NaN."""
    for group in range(len(starts)):
        i = end_of(starts, group, len(values)) - 1
        while i > starts[group] and np.isnan(values[i]):
            i -= 1
        out[group] = values[i]


@compiled
def mean(counts: Float64Array, means: Float64Array, starts: Int64Array, out: Float64Array) -> None:
    """Means of means weighted by counts; about the first, so that a group of one keeps its mean to the last bit."""
    for group in range(len(starts)):
        start = starts[group]
        origin, total, count = means[start], 0.0, 0.0
        for i in range(start, end_of(starts, group, len(means))):
            total += counts[i] * (means[i] - origin)
            count += counts[i]
        out[group] = origin + total / max(count, 1.0)


@compiled
def product(
    counts: Float64Array,
    x: Float64Array,
    y: Float64Array,
    within: Float64Array,
    starts: Int64Array,
    mean_x: Float64Array,
    mean_y: Float64Array,
    out: Float64Array,
) -> None:
    """Co-moments: those within each window and, in a second pass, of its means about the group's."""
    for group in range(len(starts)):
        total = 0.0
        for i in range(starts[group], end_of(starts, group, len(x))):
            total += within[i] + counts[i] * (x[i] - mean_x[group]) * (y[i] - mean_y[group])
        out[group] = total
