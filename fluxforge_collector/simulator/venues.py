"""The venues that can be simulated, by ccxt's id."""

from __future__ import annotations

from fluxforge_collector.simulator.binance import BINANCE, BINANCEUS
from fluxforge_collector.simulator.bybit import Bybit
from fluxforge_collector.simulator.coinbase import Coinbase
from fluxforge_collector.simulator.kraken import Kraken
from fluxforge_collector.simulator.okx import Okx
from fluxforge_collector.simulator.wire import Wire

_WIRES: tuple[Wire, ...] = (BINANCEUS, Okx(), BINANCE, Coinbase(), Kraken(), Bybit())

VENUES: dict[str, Wire] = {wire.exchange: wire for wire in _WIRES}
