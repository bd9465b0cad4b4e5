"""Family F by hand: decay, and walking the book for a notional."""

import math

import pytest

from fluxforge_assets.features.impact import Notional, cost_of_taking

BOOK = ([(99.9, 2), (99.5, 4)], [(100.1, 1), (100.5, 4)])
OPTIONS = {"max_levels": 2, "ofi_levels": 1, "impact_notionals": (100, 200, 5000), "decay_bps": 10}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("bid_depth_decay", 2 * math.exp(-1) + 4 * math.exp(-5), id="decay"),
        pytest.param("imb_invdist", (0.28 - 0.18) / 0.46, id="inverse distance"),
        pytest.param("buy_impact_bps_100", 10, id="within the best level"),
        pytest.param("buy_impact_bps_200", 1e4 * (200 / (1 + 99.9 / 100.5) / 100 - 1), id="into the second level"),
        pytest.param("sell_impact_bps_200", 1e4 * (1 - 200 / (2 + 0.2 / 99.5) / 100), id="a sliver of the second"),
        pytest.param("buy_impact_bps_5k", None, id="more than the book holds"),
        pytest.param("impact_skew_bps_5k", None, id="skew of a null"),
        pytest.param("impact_skew_bps_100", 0, id="skew"),
    ],
)
def test_value(name, expected, make_books, static):
    value, without_book = static(name, make_books(BOOK, None, **OPTIONS))
    assert value == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9))
    assert without_book is None


@pytest.mark.parametrize(("excess", "is_filled"), [(0, True), (5e-10, True), (2e-9, False)])
def test_a_notional_is_filled_where_a_billionth_remains(excess, is_filled, make_books):
    books = make_books(([(99, 1)], [(101, 1)]), max_levels=2, ofi_levels=1)
    cost = cost_of_taking(books.ask, 101.0 * (1 + excess), 1.0)
    assert (not math.isnan(cost[0])) is is_filled


@pytest.mark.parametrize(
    ("quote", "text"),
    [(1000, "1k"), (10_000, "10k"), (2_500_000, "2500k"), (1_000_000, "1m"), (750, "750"), (0.5, "0p5")],
)
def test_notionals_in_names(quote, text):
    assert str(Notional(quote)) == text
