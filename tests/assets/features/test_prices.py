"""Families A and B by hand."""

import pytest

BOOK = ([(100.01, 2), (100.00, 8), (99.98, 4)], [(100.04, 6), (100.06, 2)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bid_price_l0", 100.01),
        ("ask_price_l2", None),
        ("ask_size_l1", 2),
        ("ask_size_l2", None),
        ("bid_levels", 3),
        ("ask_levels", 2),
        ("mid", 100.025),
        ("spread", 0.03),
        ("spread_bps", 0.03 / 100.025 * 1e4),
        ("spread_ticks", 3),
        ("microprice", (100.01 * 6 + 100.04 * 2) / 8),
        ("micro_dev_bps", -0.5 * 0.03 / 100.025 * 1e4 / 2),
        (
            "wmid_top3_dev_bps",
            1e4 * ((100.01 * 6 + 100.04 * 2 + 100.00 * 2 + 100.06 * 8) / 18 / 100.025 - 1),
        ),
    ],
)
def test_value(name, expected, make_books, static):
    books = make_books(BOOK, None, max_levels=3, ofi_levels=1, wmid_levels=(3, 5), tick_size=0.01)
    value, without_book = static(name, books)
    assert value == (None if expected is None else pytest.approx(expected, rel=1e-9))
    assert without_book is None


def test_ticks_are_null_where_the_tick_is_unknown(make_books, static):
    assert static("spread_ticks", make_books(BOOK, max_levels=3, ofi_levels=1)) == [None]


def test_weighted_mids_deeper_than_the_levels_do_not_exist(make_books, static):
    books = make_books(BOOK, max_levels=3, ofi_levels=1, wmid_levels=(3, 5))
    with pytest.raises(KeyError):
        static("wmid_top5_dev_bps", books)
