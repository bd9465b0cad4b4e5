"""Broken steps: whether two events of one channel connect (catalogue 2.6)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled

Int64Array = npt.NDArray[np.int64]


class Breaks(NamedTuple):
    """What breaks the steps of a channel.

    `starts`, `ends`: disjoint gaps, ascending, µs; `markers`: instants across which nothing connects, ascending, µs.
    """

    max_gap_us: int
    starts: Int64Array
    ends: Int64Array
    markers: Int64Array


@compiled
def first_after(values: Int64Array, instant: int) -> int:
    """Index of the first of ascending `values` greater than `instant`."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] > instant:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def is_broken(earlier: int, later: int, breaks: Breaks) -> bool:
    """Whether the step from `earlier` to `later` (µs, not before it) is broken."""
    if later - earlier > breaks.max_gap_us:
        return True
    if len(breaks.ends) > 0:
        i = first_after(breaks.ends, earlier)
        if i < len(breaks.ends) and breaks.starts[i] < later:
            return True
    if len(breaks.markers) > 0:
        i = first_after(breaks.markers, earlier)
        if i < len(breaks.markers) and breaks.markers[i] <= later:
            return True
    return False
