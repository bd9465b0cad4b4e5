"""Family D: bands, their edges, and sides that end before a band begins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_assets.features.bands import depth_between
from fluxforge_assets.features.books import Side

# mid 100; 99.95 is 4.99999999999972 bps away in float64, and belongs to the outer band
BOOK = ([(99.98, 2), (99.95, 2)], [(100.02, 1), (100.05, 3)])
FULL = ([(99.999, 1), (99.998, 2), (99.997, 4), (99.996, 8)], [(100.001, 1), (100.05, 2), (100.2, 4), (100.4, 8)])
OPTIONS = {"max_levels": 2, "depth_levels": 4, "ofi_levels": 1, "bands_bps": (5, 10, 25)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("bid_depth_0_5bps", [2, 15], id="exact edge is outside"),
        pytest.param("bid_depth_5_10bps", [2, None], id="full side ends before"),
        pytest.param("ask_depth_5_10bps", [3, 2], id="full side reaches beyond"),
        pytest.param("bid_depth_10_25bps", [0, None], id="nothing there"),
        pytest.param("imb_0_5bps", [1 / 3, 7 / 8], id="imbalance"),
        pytest.param("imb_5_10bps", [-0.2, None], id="imbalance of a null"),
        pytest.param("imb_10_25bps", [None, None], id="both empty"),
        pytest.param("bid_depth_cum_25bps", [4, 15], id="cumulative is never null"),
        pytest.param("ask_depth_cum_10bps", [4, 3], id="cumulative to an inner edge"),
        pytest.param("imb_cum_10bps", [0, 12 / 18], id="cumulative imbalance"),
        pytest.param("ask_reach_bps", [5, 40], id="reach"),
    ],
)
def test_value(name, expected, make_books, static):
    values = static(name, make_books(BOOK, FULL, None, **OPTIONS))
    assert values == [None if e is None else pytest.approx(e, rel=1e-9) for e in [*expected, None]]


@given(
    distances=st.lists(st.lists(st.floats(0.01, 40), min_size=1, max_size=4), min_size=1, max_size=6),
    edges=st.tuples(st.sampled_from([0.0, 5.0, 10.0]), st.sampled_from([12.0, 25.0, 50.0])),
)
def test_whole_levels_at_once_or_row_by_row_is_the_same(distances, edges):
    """The shortcuts for levels wholly inside or outside a band change nothing."""
    price = np.full((4, len(distances)), np.nan)
    for column, row in enumerate(distances):
        price[: len(row), column] = 100 * (1 - np.sort(row) / 1e4)
    size = np.where(np.isnan(price), np.nan, 1.0)
    levels = np.array([len(row) for row in distances])
    mid = np.full(len(distances), 100.0)
    together = depth_between(Side(price, size, levels, mid, 4), *edges)
    alone = [
        depth_between(Side(price[:, [i]], size[:, [i]], levels[[i]], mid[[i]], 4), *edges)[0]
        for i in range(len(distances))
    ]
    assert together.tolist() == alone
