"""What exchanges say about subscriptions."""

import pytest

from fluxforge_collector.exchanges.dialects import Acknowledgement, dialect_of
from fluxforge_collector.records import Channel


@pytest.mark.parametrize(
    ("exchange", "message", "answer"),
    [
        ("binanceus", {"result": None, "id": 1}, Acknowledgement(None, None)),
        ("binanceus", {"result": ["btcusdt@trade"], "id": 1}, None),
        ("binanceus", {"error": {"code": 2}, "id": 1}, None),
        ("binanceus", {"e": "trade"}, None),
        ("okx", {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}}, Acknowledgement(Channel.TRADES, "BTC-USDT")),
        ("okx", {"event": "subscribe", "arg": {"channel": "candle1m"}}, None),
        ("okx", {"event": "error", "code": "60018"}, None),
        ("okx", "pong", None),
        ("kraken", {"method": "subscribe"}, Acknowledgement(None, None)),
    ],
)  # fmt: skip
def test_acknowledgements(exchange, message, answer):
    assert dialect_of(exchange).acknowledges(message) == answer


def test_only_exchanges_with_a_reader_are_judged():
    assert dialect_of("okx").read is not None
    assert dialect_of("kraken").read is None
