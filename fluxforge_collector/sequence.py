"""Continuity: which update a frame carries and which it must follow, read from the message alone.

Functions of values; nothing is remembered here. An exchange that has no function here is not proven continuous:
coverage calls it unproven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from fluxforge_collector.records import Channel


class Update(NamedTuple):
    """One order book update on the wire: it takes the book of `market` from update id `previous` to `last`.

    `previous` is None in a snapshot, which follows nothing. `market` is the exchange's own id.
    """

    market: str
    previous: int | None
    last: int


class Verdict(Enum):
    """What an update is to the one before it on the same connection."""

    FOLLOWS = "follows"
    REPEATS = "repeats"
    BREAKS = "breaks"


Reader = Callable[[Any], tuple[Update, ...]]


def read_binance(message: Any) -> tuple[Update, ...]:
    """Binance: spot carries the range `U`…`u`, futures also `pu`, the last id of the update before."""
    if not isinstance(message, Mapping):
        return ()
    event = message.get("data", message) if "stream" in message else message
    if not isinstance(event, Mapping) or event.get("e") != "depthUpdate":
        return ()
    previous = event["pu"] if "pu" in event else event["U"] - 1
    return (Update(event["s"], previous, event["u"]),)


def read_okx(message: Any) -> tuple[Update, ...]:
    """OKX `books`: `prevSeqId` names the update before, −1 in a snapshot; a keep-alive repeats its own id."""
    if not isinstance(message, Mapping) or "action" not in message:
        return ()
    arg = message.get("arg") or {}
    if not str(arg.get("channel", "")).startswith("books"):
        return ()
    is_snapshot = message["action"] == "snapshot"
    return tuple(
        Update(arg["instId"], None if is_snapshot else data["prevSeqId"], data["seqId"])
        for data in message.get("data") or ()
        if "seqId" in data  # recordings from before 2023 have none
    )


READERS: dict[str, Reader] = {
    "binance": read_binance,
    "binancecoinm": read_binance,
    "binanceus": read_binance,
    "binanceusdm": read_binance,
    "okx": read_okx,
    "okxus": read_okx,
    "myokx": read_okx,
}
"""How to read the updates of an exchange, by ccxt's id."""


def is_proven(exchange: str, channel: str) -> bool:
    """Whether a loss on the wire of this channel is noticed, by ccxt's id of the exchange."""
    return channel == Channel.ORDERBOOK and exchange in READERS


def judge(last: int | None, update: Update) -> Verdict:
    """Whether an update follows `last`, the id before it on this connection; the first, or a snapshot, follows.

    Being next counts before being old: an exchange may restart its ids and still name the one before.
    """
    if last is None or update.previous is None or update.previous == last:
        return Verdict.FOLLOWS
    return Verdict.REPEATS if update.last <= last else Verdict.BREAKS
