"""Family C by hand, ragged and whole."""

import pytest

RAGGED = ([(99, 2), (98, 8), (97, 4)], [(101, 6), (102, 2)])
WHOLE = ([(99, 1), (98, 1), (97, 1)], [(101, 2), (102, 2), (103, 2)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imb_l0", [-0.5, -1 / 3, None]),
        ("imb_l1", [0.6, -1 / 3, None]),
        ("imb_l2", [None, -1 / 3, None]),
        ("bid_depth_top2", [10, 2, None]),
        ("ask_depth_top3", [8, 6, None]),
        ("imb_top3", [6 / 22, -1 / 3, None]),
        ("bid_depth_quote", [99 * 2 + 98 * 8 + 97 * 4, 294, None]),
        ("ask_depth_quote", [101 * 6 + 102 * 2, 612, None]),
    ],
)
def test_value(name, expected, make_books, static):
    books = make_books(RAGGED, WHOLE, None, max_levels=3, ofi_levels=1)
    assert static(name, books) == [None if e is None else pytest.approx(e, rel=1e-12) for e in expected]
