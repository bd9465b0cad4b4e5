"""Which numbers are prices and sizes."""

import math

import pytest

from fluxforge_collector.exchanges.sound import is_sound, sound_ticker
from fluxforge_collector.records import BookRecord, TickerRecord, TradeRecord

NAN, INF = math.nan, math.inf


def book(bids, asks):
    return BookRecord("x", "A/B", 0, 0, None, None, bids, asks, 0, 0)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(book([], []), True, id="an empty book"),
        pytest.param(book([1.0, 2.0], [1.5, 1e-12]), True, id="a book"),
        pytest.param(book([2.0, 1.0], [1.0, 1.0]), True, id="a crossed book is what the exchange says"),
        pytest.param(book([1.0, 2.0, NAN, 1.0], []), False, id="no number"),
        pytest.param(book([], [1.0, INF]), False, id="infinite"),
        pytest.param(book([-1.0, 2.0], []), False, id="negative"),
        pytest.param(book([1.0, 0.0], []), False, id="no size"),
        pytest.param(book([1e308, 1e308], []), False, id="huge beyond what adds up"),
    ],
)
def test_books(record, expected):
    assert is_sound(record) is expected


@pytest.mark.parametrize(
    ("price", "amount", "expected"),
    [(1.0, 2.0, True), (NAN, 1.0, False), (1.0, INF, False), (0.0, 1.0, False), (1.0, -1.0, False)],
)
def test_trades(price, amount, expected):
    trade = TradeRecord("x", "A/B", 0, 0, "1", None, "buy", price, amount, None, None, 0, 0, backfilled=False)
    assert is_sound(trade) is expected


def test_a_ticker_loses_only_what_cannot_be():
    fields = dict.fromkeys(TickerRecord._fields) | {"exchange": "x", "symbol": "A/B"}
    sent = TickerRecord(
        **fields | {"bid": -1.0, "ask": 2.0, "last": NAN, "base_volume": 0.0, "change": -3.0, "percentage": INF}
    )
    kept = sound_ticker(sent)
    assert (kept.bid, kept.ask, kept.last, kept.base_volume, kept.change, kept.percentage) == (
        None,
        2,
        None,
        0,
        -3,
        None,
    )
    sane = sent._replace(bid=1.0, last=1.0, percentage=None)
    assert sound_ticker(sane) is sane
