"""Family E by hand and against numpy's least squares."""

import math

import numpy as np
import pytest

# mid 100, distances in bps: bids 100, 200, 400; asks 100, 300
BOOK = ([(99, 1), (98, 2), (96, 5)], [(101, 3), (103, 1)])
SINGLE = ([(99, 1)], [(101, 1)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bid_slope", [np.polyfit([100, 200, 400], [1, 3, 8], 1)[0], None]),
        ("ask_slope", [None, None]),
        ("slope_skew", [None, None]),
        ("bid_convexity", [(1 / 3 * (1 / 8 + 3 / 8) + 2 / 3 * (3 / 8 + 1)) / 2 - 0.5, None]),
        ("ask_convexity", [None, None]),
        ("bid_hhi", [30 / 64, 1]),
        ("ask_entropy", [-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(2), None]),
        ("bid_wdist_bps", [(100 + 400 + 2000) / 8, 100]),
        ("ask_wdist_bps", [150, 100]),
        ("wdist_skew", [(150 - 312.5) / 462.5, 0]),
        ("bid_gap_bps", [100, None]),
        ("ask_gap_bps", [200, None]),
        ("cog_dev_bps", [1e4 * ((99 + 196 + 303 + 103) / 7 / 100 - 1), 0]),
    ],
)
def test_value(name, expected, make_books, static):
    values = static(name, make_books(BOOK, SINGLE, None, max_levels=3, ofi_levels=1))
    assert values == [None if e is None else pytest.approx(e, rel=1e-9, abs=1e-12) for e in [*expected, None]]


def test_size_near_the_mid_is_convex_and_heavier_bids_pull_the_centre_down(make_books, static):
    front = ([(99, 8), (98, 1), (97, 1)], [(101, 1), (102, 1), (103, 1)])
    books = make_books(front, max_levels=3, ofi_levels=1)
    assert static("bid_convexity", books)[0] > 0
    assert static("ask_convexity", books) == [pytest.approx(1 / 6)]
    assert static("cog_dev_bps", books)[0] < 0
