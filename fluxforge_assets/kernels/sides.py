"""What a pass needs of one side of a book: cleaning, order, equality, flows between two snapshots.

Kept sides lie in one flat array: at an offset `at`, `most` prices, best first, then `most` sizes; a count goes with
each. `sign` is +1 for bids and −1 for asks, so that a greater `sign · price` is always the better price.
"""

# ruff: noqa: PLR0917, SIM110 -- compiled code takes arrays rather than objects, and loops rather than generators

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled

Float64Array = npt.NDArray[np.float64]


@compiled
def clean(
    price: Float64Array, size: Float64Array, start: int, stop: int, kept: Float64Array, at: int, most: int
) -> int:
    """Keep the first `most` levels with finite positive price and size. Returns the count."""
    count = min(stop - start, most)
    is_clean = True
    for i in range(count):
        p = price[start + i]
        q = size[start + i]
        kept[at + i] = p
        kept[at + most + i] = q
        is_clean &= (p > 0.0) & (p < math.inf) & (q > 0.0) & (q < math.inf)
    if is_clean:
        return count
    count = 0
    for level in range(start, stop):
        p = price[level]
        q = size[level]
        if count < most and 0.0 < p < math.inf and 0.0 < q < math.inf:
            kept[at + count] = p
            kept[at + most + count] = q
            count += 1
    return count


@compiled
def is_ordered(kept: Float64Array, at: int, count: int, sign: float) -> bool:
    """Whether prices grow strictly worse."""
    for i in range(at + 1, at + count):
        if not sign * kept[i] < sign * kept[i - 1]:
            return False
    return True


@compiled
def is_equal(kept: Float64Array, at: int, other: int, most: int, count: int) -> bool:
    """Whether two kept sides of `count` levels are equal."""
    for i in range(count):
        if kept[at + i] != kept[other + i] or kept[at + most + i] != kept[other + most + i]:
            return False
    return True


@compiled
def total(kept: Float64Array, at: int, most: int, levels: int) -> float:
    """Size of the best `levels` levels, which must exist."""
    amount = 0.0
    for i in range(at + most, at + most + levels):
        amount += kept[i]
    return amount


@compiled
def near(kept: Float64Array, at: int, most: int, count: int, limit: float, sign: float) -> float:
    """Size of the levels strictly better than the price `limit`."""
    amount = 0.0
    for i in range(count):
        if sign * kept[at + i] <= sign * limit:
            break
        amount += kept[at + most + i]
    return amount


@compiled
def rank_flow(
    kept: Float64Array, new: int, count: int, old: int, old_count: int, most: int, sign: float, flow: Float64Array
) -> None:
    """Flow at each rank: better price +new size, worse −old size, equal their difference; a missing level is empty."""
    ranks = len(flow)
    both = min(count, old_count, ranks)
    for i in range(both):
        price, old_price = sign * kept[new + i], sign * kept[old + i]
        gained = kept[new + most + i] if price >= old_price else 0.0
        lost = kept[old + most + i] if price <= old_price else 0.0
        flow[i] = gained - lost
    for i in range(both, ranks):
        if i < count:
            flow[i] = kept[new + most + i]
        elif i < old_count:
            flow[i] = -kept[old + most + i]
        else:
            flow[i] = 0.0


@compiled
def changes(
    kept: Float64Array, new: int, count: int, old: int, old_count: int, most: int, sign: float
) -> tuple[float, float]:
    """Size added and removed, price by price, down to the worst price both snapshots can see (catalogue 5)."""
    floor = -math.inf
    if count == most:
        floor = sign * kept[new + count - 1]
    if old_count == most:
        floor = max(floor, sign * kept[old + old_count - 1])
    added = removed = 0.0
    i = j = 0
    while i < count or j < old_count:
        price = sign * kept[new + i] if i < count else -math.inf
        old_price = sign * kept[old + j] if j < old_count else -math.inf
        if max(price, old_price) < floor:
            break
        if price > old_price:
            added += kept[new + most + i]
            i += 1
        elif old_price > price:
            removed += kept[old + most + j]
            j += 1
        else:
            change = kept[new + most + i] - kept[old + most + j]
            if change > 0.0:
                added += change
            else:
                removed -= change
            i += 1
            j += 1
    return added, removed
