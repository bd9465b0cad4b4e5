"""From messages to records, value by value."""

from datetime import UTC, datetime

import pytest

from fluxforge_collector.exchanges.coinbase.mapping import milliseconds, ticker_record, trade_record
from fluxforge_collector.exchanges.coinbase.messages import Ticker, Trade
from fluxforge_collector.exchanges.normalise import Stamp

STAMP = Stamp(1_700_000_000_123, 1_700_000_000_120_456, 7, 2)


@pytest.mark.parametrize(
    ("makers", "takers"), [("SELL", "buy"), ("BUY", "sell"), ("UNKNOWN_ORDER_SIDE", None), ("", None)]
)
def test_the_side_is_turned_from_the_makers_to_the_takers(makers, takers):
    trade = Trade("42", "BTC-USD", 61_700.01, 0.5, makers, datetime(2019, 8, 14, 20, 42, 27, 265_999, UTC))
    record = trade_record(trade, "BTC/USD", STAMP)
    assert record.side == takers
    assert (record.exchange, record.symbol, record.trade_id) == ("coinbase", "BTC/USD", "42")
    assert (record.price, record.amount, record.cost) == (61_700.01, 0.5, None)
    assert record.timestamp_ms == 1_565_815_347_265
    assert (record.collected_ms, record.capture_us, record.seq, record.conn) == STAMP
    assert record.backfilled is False


def test_a_ticker_has_what_was_sent_and_nothing_else():
    ticker = Ticker("BTC-USD", price="10.5", best_bid="10.4", best_bid_quantity="2", price_percent_chg_24_h="-4.1")
    record = ticker_record(ticker, "BTC/USD", 5, STAMP)
    assert (record.bid, record.bid_volume, record.last, record.close, record.percentage) == (
        10.4,
        2.0,
        10.5,
        10.5,
        -4.1,
    )
    assert (record.ask, record.ask_volume, record.high, record.low, record.base_volume) == (None,) * 5
    assert (record.open, record.vwap, record.quote_volume, record.change) == (None,) * 4
    assert record.timestamp_ms == 5


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "x"])
def test_a_ticker_number_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"finite|convert"):
        ticker_record(Ticker("BTC-USD", price=text), "BTC/USD", 5, STAMP)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC), -1),
        (datetime(2038, 1, 19, 3, 14, 8, 265_999, UTC), 2_147_483_648_265),
    ],
)
def test_milliseconds_are_whole(moment, expected):
    assert milliseconds(moment) == expected
