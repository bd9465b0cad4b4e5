"""What must be known of an exchange beyond ccxt's unified calls, as data. Most exchanges need nothing here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fluxforge_collector.exchanges.trade_pages import (
    History,
    binance_pages,
    bybit_pages,
    coinbase_pages,
    kraken_pages,
    okx_pages,
)
from fluxforge_collector.records import Channel


class Acknowledgement(NamedTuple):
    """An exchange has said that a subscription stands; None means every channel, every market of the connection.

    `market` is the exchange's own id, or its symbol where it says that.
    """

    channel: Channel | None
    market: str | None


Acknowledges = Callable[[Any], Iterable[Acknowledgement]]

_ALL = (Acknowledgement(None, None),)


def _any_message(_message: Any) -> Iterable[Acknowledgement]:
    return _ALL


def _no_message(_message: Any) -> Iterable[Acknowledgement]:
    return ()


def _binance_acknowledges(message: Any) -> Iterable[Acknowledgement]:
    is_answer = isinstance(message, Mapping) and "id" in message and message.get("result", 0) is None
    return _ALL if is_answer else ()


_OKX_CHANNELS = {"books": Channel.ORDERBOOK, "trades": Channel.TRADES, "tickers": Channel.TICKER}


def _okx_acknowledges(message: Any) -> Iterable[Acknowledgement]:
    if not isinstance(message, Mapping) or message.get("event") != "subscribe":
        return ()
    arg = message.get("arg") or {}
    channel = _OKX_CHANNELS.get(arg.get("channel", ""))
    return (Acknowledgement(channel, arg.get("instId")),) if channel else ()


_KRAKEN_CHANNELS = {"book": Channel.ORDERBOOK, "trade": Channel.TRADES, "ticker": Channel.TICKER}


def _kraken_acknowledges(message: Any) -> Iterable[Acknowledgement]:
    if not isinstance(message, Mapping) or message.get("method") != "subscribe" or not message.get("success"):
        return ()
    result = message.get("result") or {}
    channel = _KRAKEN_CHANNELS.get(result.get("channel", ""))
    return (Acknowledgement(channel, result.get("symbol")),) if channel else ()


_COINBASE_CHANNELS = {"level2": Channel.ORDERBOOK, "market_trades": Channel.TRADES, "ticker": Channel.TICKER}


def _coinbase_acknowledges(message: Any) -> Iterable[Acknowledgement]:
    """Every subscription of the connection is listed each time; a `-USDC` product under its `-USD` name."""
    if not isinstance(message, Mapping) or message.get("channel") != "subscriptions":
        return
    for event in message["events"]:
        for name, products in event["subscriptions"].items():
            channel = _COINBASE_CHANNELS.get(name)
            for product in products if channel else ():
                yield Acknowledgement(channel, product)
                if product.endswith("-USD"):
                    yield Acknowledgement(channel, f"{product}C")


def _is_coinbase_past(message: Any) -> bool:
    """A subscription to trades begins with the last hundred."""
    if not isinstance(message, Mapping) or message.get("channel") != "market_trades":
        return False
    return any(event.get("type") == "snapshot" for event in message["events"])


@dataclass(frozen=True)
class Dialect:
    """An exchange's own ways.

    `is_full_diff`: updates reach deeper than the snapshot, so ccxt's cut of the live book would lose true levels;
    elsewhere the feed has a fixed depth, below which old levels would linger. `aliases` maps the end of a symbol asked
    for to the end of the one delivered. `singly` are the channels whose call for many symbols brings less than the call
    for one. `most_symbols` is how many one connection carries. `is_makers_side`: the side of a trade, which ccxt hands
    on as it is, is the maker's. `history` is how trades are fetched again after a gap. `is_past` tells a message whose
    trades are from before the subscription.
    """

    acknowledges: Acknowledges = _any_message
    is_full_diff: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    singly: frozenset[Channel] = frozenset()
    is_makers_side: bool = False
    most_symbols: int | None = None
    history: History = field(default_factory=History)
    is_past: Callable[[Any], bool] | None = None


_BINANCE = Dialect(
    acknowledges=_binance_acknowledges,
    is_full_diff=True,
    options={"watchTickers": {"name": "ticker"}},  # the default, miniTicker, has no bid and ask
    history=History(binance_pages, "counted"),
)
# an answer names only the request, so the tap tells what was asked
_BYBIT = Dialect(
    acknowledges=_no_message,
    most_symbols=10,  # a request for more topics of spot is refused, and ccxt asks for all at once
    history=History(bybit_pages),
)
_OKX = Dialect(acknowledges=_okx_acknowledges, history=History(okx_pages, "ascending"))
_DIALECTS: dict[str, Dialect] = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceus": _BINANCE,
    "binanceusdm": _BINANCE,
    "okx": _OKX,
    "okxus": _OKX,
    "myokx": _OKX,
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "coinbase": Dialect(
        acknowledges=_coinbase_acknowledges,
        aliases={"/USDC": "/USD"},
        is_makers_side=True,
        most_symbols=10,  # of 32 books on one connection it refuses all
        singly=frozenset({Channel.TICKER}),  # the batch for many comes every five seconds, without bid and ask
        history=History(coinbase_pages, "counted"),
        is_past=_is_coinbase_past,
    ),
    "kraken": Dialect(
        acknowledges=_kraken_acknowledges, history=History(kraken_pages, "counted", is_oldest_first=True)
    ),
}


def dialect_of(exchange: str) -> Dialect:
    """The dialect of an exchange, by ccxt's id."""
    return _DIALECTS.get(exchange, Dialect())
