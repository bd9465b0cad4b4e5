"""The book against an obvious twin: after any snapshot and changes, the same best levels, each time by value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.exchanges.coinbase.book import OrderBook
from fluxforge_collector.exchanges.coinbase.messages import Level

DEPTH = 3
LEVELS = st.lists(
    st.builds(
        Level,
        side=st.sampled_from(["bid", "offer"]),
        price_level=st.integers(1, 12).map(lambda ticks: ticks / 4),
        new_quantity=st.sampled_from([0.0, 0.5, 2.0]),
    ),
    max_size=12,
)


class Twin:
    """A dictionary per side, sorted whenever it is asked."""

    def __init__(self):
        self.sizes = {"bid": {}, "offer": {}}

    def begin(self, levels):
        self.sizes = {"bid": {}, "offer": {}}
        self.apply(levels)

    def apply(self, levels):
        for level in levels:
            self.sizes[level.side][level.price_level] = level.new_quantity
            if not level.new_quantity:
                del self.sizes[level.side][level.price_level]

    def top(self, side):
        best = sorted(self.sizes[side].items(), reverse=side == "bid")[:DEPTH]
        return [value for level in best for value in level]


@given(st.lists(st.tuples(st.booleans(), LEVELS), max_size=12))
def test_a_book_equals_its_twin_after_each_change(steps):
    book, twin = OrderBook(DEPTH), Twin()
    told = []
    for is_snapshot, levels in steps:
        for either in (book, twin):
            (either.begin if is_snapshot else either.apply)(levels)
        told.append((book.bids.top(), twin.top("bid")))
        told.append((book.asks.top(), twin.top("offer")))
        assert len(book.bids) == len(twin.sizes["bid"])
        # what was told before has not changed since
        assert all(ours == theirs for ours, theirs in told)


def test_a_side_that_did_not_change_at_the_top_is_not_made_again():
    book = OrderBook(2)
    book.begin([Level("bid", price, 1.0) for price in (10.0, 9.0, 8.0)] + [Level("offer", 11.0, 1.0)])
    bids, asks = book.bids.top(), book.asks.top()
    assert (bids, asks) == ([10.0, 1.0, 9.0, 1.0], [11.0, 1.0])
    book.apply([Level("bid", 8.0, 5.0), Level("bid", 7.0, 1.0), Level("bid", 3.0, 0.0)])
    assert book.bids.top() is bids
    book.apply([Level("offer", 12.0, 2.0)])
    assert book.asks.top() == [11.0, 1.0, 12.0, 2.0]


@pytest.mark.parametrize("levels", [[], [Level("bid", 1.0, 0.0)]], ids=["nothing", "a delete of what never was"])
def test_an_empty_book_has_no_levels(levels):
    book = OrderBook(5)
    book.begin(levels)
    book.apply(levels)
    assert (book.bids.top(), book.asks.top()) == ([], [])
