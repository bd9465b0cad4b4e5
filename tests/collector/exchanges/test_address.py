"""Pointing an exchange at a simulated one."""

import ccxt.pro
import pytest

from fluxforge_collector.exchanges.address import point_at, relocate

BASE = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.binance.us/api/v3", "http://127.0.0.1:8000/api.binance.us/api/v3"),
        ("wss://stream.binance.us:9443/ws", "ws://127.0.0.1:8000/stream.binance.us:9443/ws"),
        ("https://{hostname}/v5", "http://127.0.0.1:8000/{hostname}/v5"),
        ("not a url", "not a url"),
        (None, None),
        ({"ws": ["wss://x/y"]}, {"ws": ["ws://127.0.0.1:8000/x/y"]}),
    ],
)
def test_urls(url, expected):
    assert relocate(url, BASE) == expected


@pytest.mark.parametrize("exchange", ["binanceus", "okx", "coinbase", "kraken", "bybit", "binance"])
def test_no_real_address_is_left(exchange):
    made = getattr(ccxt.pro, exchange)()
    point_at(made, BASE)

    def leaves(tree):
        if isinstance(tree, dict):
            return [leaf for value in tree.values() for leaf in leaves(value)]
        return [tree] if isinstance(tree, str) and "://" in tree else []

    assert leaves(made.urls["api"])
    assert all(leaf.partition("://")[2].startswith("127.0.0.1:8000/") for leaf in leaves(made.urls["api"]))
