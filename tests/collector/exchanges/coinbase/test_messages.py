"""Frames as values: what Coinbase sends is read, everything else is refused, and numbers are the nearest floats."""

import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.coinbase.messages import (
    BookFrame,
    ControlFrame,
    ErrorFrame,
    SubscriptionsFrame,
    TickerFrame,
    TradesFrame,
    read_frame,
    read_trades,
    subscription,
)

# as Coinbase documents them
BOOK = """{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":7,"events":
[{"type":"snapshot","product_id":"BTC-USD","updates":[
{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"21921.74","new_quantity":"0.06317902"},
{"side":"offer","event_time":"1970-01-01T00:00:00Z","price_level":"21921.3","new_quantity":"0"}]}]}"""
TRADES = """{"channel":"market_trades","client_id":"","timestamp":"2023-02-09T20:19:35.39625135Z","sequence_num":0,
"events":[{"type":"snapshot","trades":[{"trade_id":"000000000","product_id":"ETH-USD","price":"1260.01","size":"0.3",
"side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}"""
TICKER = """{"channel":"ticker","client_id":"","timestamp":"2023-02-09T20:30:37.167359596Z","sequence_num":3,"events":
[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"21932.98","volume_24_h":"16038.28770938",
"low_24_h":"21835.29","high_24_h":"23011.18","low_52_w":"15460","high_52_w":"48240",
"price_percent_chg_24_h":"-4.15775596190603","best_bid":"","best_ask":"21934.98"}]}]}"""
HEARTBEAT = """{"channel":"heartbeats","client_id":"","timestamp":"2023-06-23T20:31:26.122969572Z","sequence_num":2,
"events":[{"current_time":"2023-06-23 20:31:56.121961769 +0000 UTC m=+91717.525857105","heartbeat_counter":"3049"}]}"""
SUBSCRIPTIONS = """{"channel":"subscriptions","client_id":"","timestamp":"2023-02-09T20:33:57.609931463Z",
"sequence_num":1,"events":[{"subscriptions":{"level2":["BTC-USD"],"heartbeats":["heartbeats"]}}]}"""


def with_level(**changes):
    frame = json.loads(BOOK)
    frame["events"][0]["updates"][0] |= changes
    return json.dumps(frame)


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        (BOOK, BookFrame, 7),
        (TRADES, TradesFrame, 0),
        (TICKER, TickerFrame, 3),
        (SUBSCRIPTIONS, SubscriptionsFrame, 1),
        (HEARTBEAT, ControlFrame, 2),
        ('{"channel":"status","sequence_num":9,"events":[{"type":"snapshot"}]}', ControlFrame, 9),
    ],
)
def test_every_channel_is_read_and_numbered(text, kind, number):
    for data in (text, text.encode()):
        frame = read_frame(data)
        assert type(frame) is kind
        assert frame.sequence_num == number


def test_what_frames_say():
    event = read_frame(BOOK).events[0]
    assert (event.type, event.product_id) == ("snapshot", "BTC-USD")
    assert [(u.side, u.price_level, u.new_quantity) for u in event.updates] == [
        ("bid", 21921.74, 0.06317902),
        ("offer", 21921.3, 0.0),
    ]
    assert read_frame(BOOK).timestamp == datetime(2023, 2, 9, 20, 32, 50, 714965, UTC)
    trade = read_frame(TRADES).events[0].trades[0]
    assert (trade.trade_id, trade.price, trade.size, trade.side) == ("000000000", 1260.01, 0.3, "BUY")
    ticker = read_frame(TICKER).events[0].tickers[0]
    assert (ticker.price, ticker.best_bid, ticker.best_ask_quantity) == ("21932.98", "", "")
    assert read_frame(SUBSCRIPTIONS).events[0].subscriptions["level2"] == ["BTC-USD"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"trades":[{"trade_id":"1"}]}', b'{"trades":' + b"[" * 100_000])
def test_an_answer_without_trades_is_refused(body):
    with pytest.raises(DataError, match="no list of trades"):
        read_trades(body)


def test_a_refusal_is_a_value():
    frame = read_frame('{"type":"error","message":"too many L2 streams requested in a single session"}')
    assert frame == ErrorFrame("error", "too many L2 streams requested in a single session")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(BOOK[: len(BOOK) // 2], "no JSON", id="half a frame"),
        pytest.param("", "no JSON", id="nothing"),
        pytest.param(b"\xff\xfe", "no JSON", id="no text"),
        pytest.param("[]", "Expected `object`", id="no object"),
        pytest.param("{}", "missing required field `type`", id="an empty object"),
        pytest.param('{"channel":"status"}', "`sequence_num`", id="not numbered"),
        pytest.param(BOOK.replace('"sequence_num":7,', ""), "`sequence_num`", id="a book not numbered"),
        pytest.param(BOOK.replace('"timestamp":"2023', '"timestamp":"x'), "timestamp", id="no time"),
        pytest.param(BOOK.replace("snapshot", "rumour"), "'rumour'", id="neither snapshot nor update"),
        pytest.param(with_level(side="ask"), "'ask'", id="no side"),
        pytest.param(with_level(price_level="0"), "> 0", id="price zero"),
        pytest.param(with_level(price_level="-1"), "> 0", id="price negative"),
        pytest.param(with_level(price_level="nan"), "> 0", id="price not a number"),
        pytest.param(with_level(price_level="inf"), "<= ", id="price infinite"),
        pytest.param(with_level(price_level="1e999"), "out of range", id="price too large"),
        pytest.param(with_level(new_quantity="-0.1"), ">= 0", id="size negative"),
        pytest.param(with_level(new_quantity=""), "float", id="size empty"),
        pytest.param(with_level(new_quantity=None), "float", id="size null"),
        pytest.param('{"x":' * 100_000, r"recursion|truncated", id="endlessly deep"),
        pytest.param('{"channel":"status","events":' + "[" * 100_000, r"recursion|truncated", id="deep and unknown"),
    ],
)
def test_what_is_no_frame_is_refused(text, message):
    with pytest.raises(DataError, match=message):
        read_frame(text)


@given(
    st.one_of(
        st.decimals(min_value="0.000000000001", max_value="1000000000", places=12).map(lambda d: f"{d:f}"),
        st.floats(min_value=1e-300, max_value=1e300).map(repr),
        st.from_regex(r"(0|[1-9][0-9]{0,20})\.[0-9]{1,40}", fullmatch=True),
    ).filter(lambda text: float(text) > 0)
)
def test_decimal_text_becomes_the_nearest_float(text):
    assert read_frame(with_level(price_level=text)).events[0].updates[0].price_level == float(text)


def test_what_is_sent_to_subscribe():
    assert orjson.loads(subscription("heartbeats", [], None)) == {"type": "subscribe", "channel": "heartbeats"}
    assert orjson.loads(subscription("level2", ["BTC-USD"], "token")) == {
        "type": "subscribe",
        "channel": "level2",
        "product_ids": ["BTC-USD"],
        "jwt": "token",
    }
