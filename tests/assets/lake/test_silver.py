"""Whether an instrument's trades are collected decides if their absence is a zero or unknown."""

import pytest

from fluxforge_assets.lake.silver import has_trades
from fluxforge_collector.config.model import Config
from fluxforge_collector.instruments import Instrument

CONFIG = Config.model_validate(
    {
        "exchanges": {"coinbase": {"symbols": ["BTC/USD"]}, "okx": {"symbols": {"orderbook": ["BTC/USDT"]}}},
        "coinbase": {"symbols": {"orderbook": ["BTC/USD", "ETH/USD"], "trades": ["ETH/USD"]}},
    }
)


@pytest.mark.parametrize(
    ("source", "exchange", "symbol", "expected"),
    [
        pytest.param("ccxt", "coinbase", "BTC/USD", True, id="through ccxt they are"),
        pytest.param("coinbase", "coinbase", "BTC/USD", False, id="natively they are not"),
        pytest.param("coinbase", "coinbase", "ETH/USD", True, id="natively they are"),
        pytest.param("ccxt", "okx", "BTC/USDT", False, id="books alone"),
        pytest.param("ccxt", "okx", "ETH/USDT", True, id="a symbol not configured"),
        pytest.param("ccxt", "kraken", "BTC/USD", True, id="an exchange not configured"),
    ],
)
def test_the_configuration_of_the_source_decides(source, exchange, symbol, expected):
    assert has_trades(CONFIG, source, Instrument(exchange, symbol)) is expected
