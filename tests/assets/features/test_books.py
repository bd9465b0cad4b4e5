"""What static features share: ratios that may be undefined, rows without a book, ragged sides."""

import numpy as np
import pytest

from fluxforge_assets.features.books import divide, relative_difference, short_number


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        pytest.param(3, 1, 0.5, id="ordinary"),
        pytest.param(0, 2, -1.0, id="one side empty"),
        pytest.param(0, 0, None, id="both empty"),
        pytest.param(1, -2, None, id="negative sum"),
        pytest.param(np.nan, 1, None, id="missing"),
        pytest.param(5e-324, 0, 1.0, id="smallest number"),
    ],
)
def test_relative_difference(x, y, expected):
    value = relative_difference(np.array([x], float), np.array([y], float))[0]
    assert (None if np.isnan(value) else value) == expected


def test_divide_is_null_where_the_denominator_is_not_positive():
    assert np.isnan(divide(np.ones(3), np.array([0.0, -1.0, np.nan]))).all()


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (2.5, "2p5"), (750, "750"), (0.25, "0p25"), (50.0, "50")])
def test_numbers_in_names(value, text):
    assert short_number(value) == text


def test_missing_levels_count_nothing_and_rows_without_a_book_stay_null(make_books):
    books = make_books(([(9, 1), (8, 2)], [(11, 4)]), None, max_levels=2, ofi_levels=1)
    assert books.bid.cumulative[1].tolist()[0] == 3
    assert books.ask.cumulative[1].tolist()[0] == 4
    assert np.isnan(books.ask.cumulative[:, 1]).all()
    assert not books.bid.is_complete
    assert books.bid.reach[0] == pytest.approx(2000)
