"""What exchanges say about subscriptions."""

import pytest

from fluxforge_collector.exchanges.dialects import Acknowledgement, dialect_of
from fluxforge_collector.records import Channel

EVERYTHING = [Acknowledgement(None, None)]
TRADES = {"channel": "trade", "symbol": "BTC/USD", "snapshot": True}


@pytest.mark.parametrize(
    ("exchange", "message", "answers"),
    [
        ("binanceus", {"result": None, "id": 1}, EVERYTHING),
        ("binanceus", {"result": ["btcusdt@trade"], "id": 1}, []),
        ("binanceus", {"error": {"code": 2}, "id": 1}, []),
        ("binanceus", {"e": "trade"}, []),
        ("okx", {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}}, [Acknowledgement(Channel.TRADES, "BTC-USDT")]),
        ("okx", {"event": "subscribe", "arg": {"channel": "candle1m"}}, []),
        ("okx", {"event": "error", "code": "60018"}, []),
        ("okx", "pong", []),
        ("kraken", {"method": "subscribe", "success": True, "result": TRADES}, [Acknowledgement(Channel.TRADES, "BTC/USD")]),
        ("kraken", {"method": "subscribe", "success": False, "result": TRADES}, []),
        ("kraken", {"method": "pong"}, []),
        ("coinbase", {"channel": "subscriptions", "events": [{"subscriptions": {"market_trades": ["BTC-USD"], "heartbeats": ["heartbeats"]}}]}, [Acknowledgement(Channel.TRADES, "BTC-USD"), Acknowledgement(Channel.TRADES, "BTC-USDC")]),
        ("coinbase", {"channel": "l2_data", "events": []}, []),
        ("bybit", {"op": "subscribe", "success": True, "req_id": "1"}, []),
        ("bitstamp", {"event": "anything"}, EVERYTHING),
    ],
)  # fmt: skip
def test_acknowledgements(exchange, message, answers):
    assert list(dialect_of(exchange).acknowledges(message)) == answers


@pytest.mark.parametrize(
    ("message", "is_past"),
    [
        ({"channel": "market_trades", "events": [{"type": "snapshot", "trades": []}]}, True),
        ({"channel": "market_trades", "events": [{"type": "update", "trades": []}]}, False),
        ({"channel": "l2_data", "events": [{"type": "snapshot", "updates": []}]}, False),
        ({"type": "error", "message": "no"}, False),
        ([], False),
    ],
)
def test_trades_from_before_a_subscription(message, is_past):
    assert dialect_of("coinbase").is_past(message) is is_past
