"""One side of a book: what is kept, what flows between two snapshots."""

import math

import numpy as np
import pytest

from fluxforge_assets.kernels.sides import changes, is_equal, keep, near, rank_flow, top_totals, total


def side(levels, most=4):
    """A kept side and its count."""
    price, size = np.zeros(most), np.zeros(most)
    for i, (p, q) in enumerate(levels):
        price[i], size[i] = p, q
    return price, size, len(levels)


@pytest.mark.parametrize(
    ("levels", "sign", "kept", "is_ordered"),
    [
        pytest.param([], 1, [], True, id="empty"),
        pytest.param([(3.0, 1.0), (2.0, 1.0)], 1, [(3.0, 1.0), (2.0, 1.0)], True, id="clean bids"),
        pytest.param([(2.0, 1.0), (3.0, 1.0)], -1, [(2.0, 1.0), (3.0, 1.0)], True, id="clean asks"),
        pytest.param([(3.0, 1.0), (3.0, 2.0)], 1, [(3.0, 1.0), (3.0, 2.0)], False, id="repeated price"),
        pytest.param([(2.0, 1.0), (3.0, 1.0)], 1, [(2.0, 1.0), (3.0, 1.0)], False, id="unsorted"),
        pytest.param([(3.0, 0.0), (2.0, 1.0)], 1, [(2.0, 1.0)], True, id="size 0 is a deletion"),
        pytest.param([(math.nan, 1.0), (2.0, 1.0)], 1, [(2.0, 1.0)], True, id="price NaN"),
        pytest.param([(3.0, math.nan), (2.0, 1.0)], 1, [(2.0, 1.0)], True, id="size NaN"),
        pytest.param([(math.inf, 1.0), (2.0, 1.0)], 1, [(2.0, 1.0)], True, id="price infinite"),
        pytest.param([(2.0, math.inf), (1.0, 1.0)], 1, [(1.0, 1.0)], True, id="size infinite"),
        pytest.param([(2.0, 1.0), (-1.0, 1.0)], 1, [(2.0, 1.0)], True, id="price negative"),
        pytest.param([(-1.0, 1.0), (2.0, 1.0)], -1, [(2.0, 1.0)], True, id="price negative, asks"),
        pytest.param([(9.0, 1.0), (8.0, 0.0), (7.0, 1.0), (6.0, 1.0), (5.0, 1.0), (4.0, 1.0)], 1,
                     [(9.0, 1.0), (7.0, 1.0), (6.0, 1.0), (5.0, 1.0)], True, id="the first M of what remains"),
        pytest.param([(5.0, 1.0), (4.0, 1.0), (3.0, 1.0), (2.0, 1.0), (9.0, 1.0)], 1,
                     [(5.0, 1.0), (4.0, 1.0), (3.0, 1.0), (2.0, 1.0)], True, id="disorder beyond M is not read"),
    ],
)  # fmt: skip
def test_a_side_is_cleaned_and_its_order_judged(levels, sign, kept, is_ordered):
    price, size = (np.array(column, float) for column in zip(*levels, strict=True)) if levels else (np.zeros(0),) * 2
    kept_price, kept_size = np.zeros(4), np.zeros(4)
    count, found_order = keep(price, size, kept_price, kept_size, float(sign))
    assert list(zip(kept_price[:count], kept_size[:count], strict=True)) == kept
    assert bool(found_order) is is_ordered


def test_flow_by_rank_counts_missing_levels_as_empty_queues_at_the_worst_price():
    new, old = side([(10.0, 5.0), (9.0, 4.0), (8.0, 1.0)]), side([(10.0, 3.0), (9.5, 7.0)])
    flow = np.empty(4)
    rank_flow(*new, *old, 1.0, flow)
    assert flow.tolist() == [2.0, -7.0, 1.0, 0.0]
    rank_flow(*old, *new, 1.0, flow)
    assert flow.tolist() == [-2.0, 7.0, -1.0, 0.0]


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param([(10.0, 5.0)], [(10.0, 3.0)], (2.0, 0.0), id="grown"),
        pytest.param([(10.0, 1.0)], [(10.0, 3.0)], (0.0, 2.0), id="shrunk"),
        pytest.param([], [(10.0, 3.0), (9.0, 2.0)], (0.0, 5.0), id="vanished"),
        pytest.param([(10.0, 1.0), (9.0, 1.0), (8.0, 1.0), (7.0, 1.0)], [(9.0, 1.0), (8.0, 1.0), (7.0, 1.0), (6.0, 4.0)],
                     (1.0, 0.0), id="both truncated: nothing below the better floor"),
        pytest.param([(10.0, 1.0)], [(9.0, 1.0), (8.0, 1.0), (7.0, 1.0), (6.0, 4.0)], (1.0, 7.0), id="one truncated"),
    ],
)  # fmt: skip
def test_changes_are_matched_by_price_down_to_what_both_books_see(new, old, expected):
    assert changes(*side(new), *side(old), 1.0) == expected
    mirrored = [[(-p, q) for p, q in levels] for levels in (new, old)]
    assert changes(*side(mirrored[0]), *side(mirrored[1]), -1.0) == expected


def test_sizes_near_the_mid_and_at_the_top():
    price, size, count = side([(10.0, 1.0), (9.0, 2.0), (8.0, 4.0)])
    assert near(price, size, count, 8.0, 1.0) == 3.0
    assert near(price, size, count, 7.0, 1.0) == 7.0
    assert total(size, 2) == 3.0
    assert is_equal(price, price.copy(), 3)
    assert not is_equal(price, size, 3)


@pytest.mark.parametrize(
    ("bids", "asks", "top", "levels"), [(4, 4, 2, 3), (1, 4, 2, 4), (4, 1, 3, 4), (2, 3, 4, 1), (1, 1, 2, 2)]
)
def test_totals_of_both_sides_count_the_levels_that_exist(bids, asks, top, levels):
    bid, ask = np.array([1.0, 2.0, 4.0, 8.0]), np.array([16.0, 32.0, 64.0, 128.0])
    assert top_totals(bid, bids, ask, asks, top, levels) == (
        bid[: min(bids, top)].sum(),
        ask[: min(asks, top)].sum(),
        bid[: min(bids, levels)].sum() + ask[: min(asks, levels)].sum(),
    )
