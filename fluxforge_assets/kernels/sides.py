"""What a pass needs of one side of a book: cleaning, order, equality, flows between two snapshots.

A kept side is a row of prices and a row of sizes, both of length M, best level first; a count goes with it. `sign` is
+1 for bids and −1 for asks, so that a greater `sign · price` is always the better price.
"""

# ruff: noqa: SIM110 -- compiled code takes loops rather than generators

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled

Float64Array = npt.NDArray[np.float64]


@compiled
def keep(
    price: Float64Array, size: Float64Array, kept_price: Float64Array, kept_size: Float64Array, sign: float
) -> tuple[int, bool]:
    """Clean a side: keep the first M levels with finite positive price and size.

    Returns: how many were kept, and whether their prices grow strictly worse.
    """
    count = min(len(price), len(kept_price))
    # One array a loop, so that each becomes vector code. Strictly ordered prices between a positive and a finite one
    # are all positive and finite, and a NaN breaks the order: a clean side needs no check of its own.
    fine = 0
    for i in range(count):
        kept_size[i] = size[i]
        fine += (size[i] > 0.0) & (size[i] < math.inf)
    for i in range(count):
        kept_price[i] = price[i]
    for i in range(1, count):
        fine += sign * price[i] < sign * price[i - 1]
    if count == 0:
        return 0, True
    best, worst = max(price[0], price[count - 1]), min(price[0], price[count - 1])
    if fine == 2 * count - 1 and worst > 0.0 and best < math.inf:
        return count, True
    return _keep_some(price, size, kept_price, kept_size, sign)


@compiled
def _keep_some(
    price: Float64Array, size: Float64Array, kept_price: Float64Array, kept_size: Float64Array, sign: float
) -> tuple[int, bool]:
    """As `keep`, level by level."""
    count = 0
    is_ordered = True
    for i in range(len(price)):
        if count == len(kept_price):
            break
        if 0.0 < price[i] < math.inf and 0.0 < size[i] < math.inf:
            kept_price[count] = price[i]
            kept_size[count] = size[i]
            if count > 0 and not sign * price[i] < sign * kept_price[count - 1]:
                is_ordered = False
            count += 1
    return count, is_ordered


@compiled
def is_equal(a: Float64Array, b: Float64Array, count: int) -> bool:
    """Whether the first `count` values are equal."""
    for i in range(count):
        if a[i] != b[i]:
            return False
    return True


@compiled
def total(size: Float64Array, levels: int) -> float:
    """Size of the best `levels` levels, which must exist."""
    amount = 0.0
    for i in range(levels):
        amount += size[i]
    return amount


@compiled
def top_totals(
    bid_size: Float64Array, bids: int, ask_size: Float64Array, asks: int, top: int, levels: int
) -> tuple[float, float, float]:
    """Size of the best `top` levels of each side, and of the best `levels` of both, as far as they exist."""
    bid = ask = 0.0
    both = min(bids, asks)
    # Both sides in one loop: neither addition waits for the other.
    for i in range(min(both, top)):
        bid += bid_size[i]
        ask += ask_size[i]
    for i in range(both, min(bids, top)):
        bid += bid_size[i]
    for i in range(both, min(asks, top)):
        ask += ask_size[i]
    bid_more = ask_more = 0.0
    for i in range(top, min(both, levels)):
        bid_more += bid_size[i]
        ask_more += ask_size[i]
    for i in range(max(both, top), min(bids, levels)):
        bid_more += bid_size[i]
    for i in range(max(both, top), min(asks, levels)):
        ask_more += ask_size[i]
    if levels < top:
        return bid, ask, total(bid_size, min(bids, levels)) + total(ask_size, min(asks, levels))
    return bid, ask, (bid + bid_more) + (ask + ask_more)


@compiled
def near(price: Float64Array, size: Float64Array, count: int, limit: float, sign: float) -> float:
    """Size of the levels strictly better than the price `limit`."""
    amount = 0.0
    for i in range(count):
        if sign * price[i] <= sign * limit:
            break
        amount += size[i]
    return amount


@compiled
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
        gained = size[i] if new >= old else 0.0
        lost = old_size[i] if new <= old else 0.0
        flow[i] = gained - lost
    for i in range(both, ranks):
        if i < count:
            flow[i] = size[i]
        elif i < old_count:
            flow[i] = -old_size[i]
        else:
            flow[i] = 0.0


@compiled
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
