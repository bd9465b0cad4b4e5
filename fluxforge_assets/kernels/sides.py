"""What a pass needs of one side of a book: cleaning, order, equality, flows between two snapshots.

A side is a row of prices and a row of sizes with a count, best level first. `sign` is +1 for bids and −1 for asks, so
that a greater `sign · price` is always the better price.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Float64Array = npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def clean(
    price: Float64Array, size: Float64Array, start: int, stop: int, kept_price: Float64Array, kept_size: Float64Array
) -> int:
    """Copy the first levels with finite positive price and size; as many as the target holds. Returns the count."""
    most = len(kept_price)
    count = 0
    for level in range(start, stop):
        if count == most:
            break
        p = price[level]
        q = size[level]
        if 0.0 < p < math.inf and 0.0 < q < math.inf:
            kept_price[count] = p
            kept_size[count] = q
            count += 1
    return count


@njit(cache=True, nogil=True)
def is_ordered(price: Float64Array, count: int, sign: float) -> bool:
    """Whether prices grow strictly worse."""
    for i in range(1, count):
        if not sign * price[i] < sign * price[i - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def is_equal(a: Float64Array, b: Float64Array, count: int) -> bool:
    """Whether the first `count` values are equal."""
    for i in range(count):
        if a[i] != b[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def total(size: Float64Array, count: int, most: int) -> float:
    """Size of the best `most` levels that exist."""
    amount = 0.0
    for i in range(min(count, most)):
        amount += size[i]
    return amount


@njit(cache=True, nogil=True)
def near(price: Float64Array, size: Float64Array, count: int, mid: float, reach: float, sign: float) -> float:
    """Size of the levels closer to the mid than `reach` (in price)."""
    amount = 0.0
    for i in range(count):
        if not sign * (mid - price[i]) < reach:
            break
        amount += size[i]
    return amount


@njit(cache=True, nogil=True)
def rank_flow(
    price: Float64Array,
    size: Float64Array,
    count: int,
    old_price: Float64Array,
    old_size: Float64Array,
    old_count: int,
    sign: float,
    flow: Float64Array,
) -> None:
    """Flow at each rank: better price +new size, worse −old size, equal their difference; a missing level is empty."""
    ranks = len(flow)
    both = min(count, old_count, ranks)
    for i in range(both):
        new, old = sign * price[i], sign * old_price[i]
        flow[i] = (size[i] if new >= old else 0.0) - (old_size[i] if new <= old else 0.0)
    for i in range(both, ranks):
        if i < count:
            flow[i] = size[i]
        elif i < old_count:
            flow[i] = -old_size[i]
        else:
            flow[i] = 0.0


@njit(cache=True, nogil=True)
def changes(
    price: Float64Array,
    size: Float64Array,
    count: int,
    old_price: Float64Array,
    old_size: Float64Array,
    old_count: int,
    sign: float,
) -> tuple[float, float]:
    """Size added and removed, price by price, down to the worst price both snapshots can see (catalogue 5)."""
    most = len(price)
    floor = -math.inf
    if count == most:
        floor = sign * price[count - 1]
    if old_count == most:
        floor = max(floor, sign * old_price[old_count - 1])
    added = removed = 0.0
    i = j = 0
    while i < count or j < old_count:
        new = sign * price[i] if i < count else -math.inf
        old = sign * old_price[j] if j < old_count else -math.inf
        if max(new, old) < floor:
            break
        if new > old:
            added += size[i]
            i += 1
        elif old > new:
            removed += old_size[j]
            j += 1
        else:
            change = size[i] - old_size[j]
            if change > 0.0:
                added += change
            else:
                removed -= change
            i += 1
            j += 1
    return added, removed
