"""Which sources run: those that are configured, or those of them that are asked for."""

import pytest

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.service.plan import plans

CCXT = {"exchanges": {"okx": {"symbols": ["BTC/USDT"]}}}
COINBASE = {"coinbase": {"symbols": {"orderbook": ["BTC/USD", "ETH/USD"], "trades": ["BTC/USD"]}}}


@pytest.mark.parametrize(
    ("config", "asked", "sources"),
    [
        (CCXT, None, ["ccxt"]),
        (COINBASE, None, ["coinbase"]),
        (CCXT | COINBASE, None, ["ccxt", "coinbase"]),
        (CCXT | COINBASE, ["coinbase"], ["coinbase"]),
        (CCXT | COINBASE, ["coinbase", "ccxt", "coinbase"], ["coinbase", "ccxt"]),
    ],
)
def test_what_is_configured_runs_unless_less_is_asked_for(config, asked, sources):
    assert [plan.source for plan in plans(Config.model_validate(config), asked)] == sources


@pytest.mark.parametrize(
    ("config", "asked", "message"),
    [
        ({}, None, "names no exchange — add one under exchanges, or the section coinbase"),
        (CCXT, ["coinbase"], "source coinbase has nothing to collect: the configuration has no section coinbase"),
        (COINBASE, ["ccxt"], "source ccxt has nothing to collect: the configuration has no section exchanges"),
        (CCXT, ["coinbse"], "no source 'coinbse' — did you mean coinbase"),
        (CCXT, ["ftp"], "no source 'ftp' — choose from ccxt, coinbase"),
        ({"exchanges": {"binancus": {"symbols": ["BTC/USDT"]}}}, None, "did you mean binanceus"),
    ],
)
def test_what_cannot_run_is_one_error(config, asked, message):
    with pytest.raises(ConfigError, match=message):
        plans(Config.model_validate(config), asked)


def test_a_plan_names_every_instrument_once():
    (plan,) = plans(Config.model_validate(COINBASE))
    assert plan.instruments == [Instrument("coinbase", "BTC/USD"), Instrument("coinbase", "ETH/USD")]
