"""What must be known of an exchange beyond ccxt's unified calls, as data. Most exchanges need nothing here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fluxforge_collector.records import Channel
from fluxforge_collector.sequence import READERS, Reader


class Acknowledgement(NamedTuple):
    """An exchange has said that a subscription stands; None means every channel, every market of the connection."""

    channel: Channel | None
    market: str | None


Acknowledges = Callable[[Any], Acknowledgement | None]


def _any_message(_message: Any) -> Acknowledgement | None:
    return Acknowledgement(None, None)


def _binance_acknowledges(message: Any) -> Acknowledgement | None:
    is_answer = isinstance(message, Mapping) and "id" in message and message.get("result", 0) is None
    return Acknowledgement(None, None) if is_answer else None


_OKX_CHANNELS = {"books": Channel.ORDERBOOK, "trades": Channel.TRADES, "tickers": Channel.TICKER}


def _okx_acknowledges(message: Any) -> Acknowledgement | None:
    if not isinstance(message, Mapping) or message.get("event") != "subscribe":
        return None
    arg = message.get("arg") or {}
    channel = _OKX_CHANNELS.get(arg.get("channel", ""))
    return Acknowledgement(channel, arg.get("instId")) if channel else None


@dataclass(frozen=True)
class Dialect:
    """An exchange's own ways.

    `read` gives the updates of a message where the wire carries continuity. `is_full_diff`: updates reach deeper than
    the snapshot, so ccxt's cut of the live book would lose true levels; elsewhere the feed has a fixed depth, below
    which old levels would linger. `aliases` maps the end of a symbol asked for to the end of the one delivered.
    """

    read: Reader | None = None
    acknowledges: Acknowledges = _any_message
    is_full_diff: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)


_BINANCE = Dialect(
    acknowledges=_binance_acknowledges,
    is_full_diff=True,
    options={"watchTickers": {"name": "ticker"}},  # the default, miniTicker, has no bid and ask
)
_OKX = Dialect(acknowledges=_okx_acknowledges)
_DIALECTS: dict[str, Dialect] = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceus": _BINANCE,
    "binanceusdm": _BINANCE,
    "okx": _OKX,
    "okxus": _OKX,
    "myokx": _OKX,
    "coinbase": Dialect(aliases={"/USDC": "/USD"}),
}


def dialect_of(exchange: str) -> Dialect:
    """The dialect of an exchange, by ccxt's id; continuity is read where a reader exists."""
    known = _DIALECTS.get(exchange, Dialect())
    return Dialect(READERS.get(exchange), known.acknowledges, known.is_full_diff, known.options, known.aliases)
