"""Updates: which one a frame carries and which it must follow, read from the message alone.

Functions of values; nothing is remembered here. A reader raises where a book's changes are not all there: the client
would take what is missing for no change, and go on with a book that is silently wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple


class Update(NamedTuple):
    """One order book update on the wire: it takes the book of `market` from update id `previous` to `last`.

    `previous` is None in a snapshot, which follows nothing; `last` where the wire carries no ids. `market` is the
    exchange's own id, or None where all messages of a connection are counted together.
    """

    market: str | None
    previous: int | None
    last: int | None


class Verdict(Enum):
    """What an update is to those before it on the same connection."""

    FOLLOWS = "follows"
    REPEATS = "repeats"
    BREAKS = "breaks"


Reader = Callable[[Any], tuple[Update, ...]]

_COINBASE_LEVEL = itemgetter("side", "price_level", "new_quantity")


def read_binance(message: Any) -> tuple[Update, ...]:
    """Binance: spot carries the range `U`…`u`, futures also `pu`, the last id of the update before."""
    if not isinstance(message, Mapping):
        return ()
    event = message.get("data", message) if "stream" in message else message
    if not isinstance(event, Mapping) or event.get("e") != "depthUpdate":
        return ()
    previous = event["pu"] if "pu" in event else event["U"] - 1
    _ = event["b"], event["a"]
    return (Update(event["s"], previous, event["u"]),)


def read_okx(message: Any) -> tuple[Update, ...]:
    """OKX `books`: `prevSeqId` names the update before, −1 in a snapshot; a keep-alive repeats its own id."""
    if not isinstance(message, Mapping) or "action" not in message:
        return ()
    arg = message.get("arg") or {}
    if not str(arg.get("channel", "")).startswith("books"):
        return ()
    is_snapshot = message["action"] == "snapshot"
    updates = []
    for data in message.get("data") or ():
        _ = data["bids"], data["asks"]
        if "seqId" in data:  # recordings from before 2023 have none
            updates.append(Update(arg["instId"], None if is_snapshot else data["prevSeqId"], data["seqId"]))
    return tuple(updates)


def read_bybit(message: Any) -> tuple[Update, ...]:
    """Bybit: `u` counts by one; a snapshot may come at any time, and `u` 1 is one after a restart of the service."""
    topic = message.get("topic") if isinstance(message, Mapping) else None
    if not isinstance(topic, str) or not topic.startswith("orderbook."):
        return ()
    data = message["data"]
    _ = data["b"], data["a"]
    number = data["u"]
    is_snapshot = message["type"] == "snapshot" or number == 1
    return (Update(data["s"], None if is_snapshot else number - 1, number),)


def read_coinbase(message: Any) -> tuple[Update, ...]:
    """Coinbase Advanced Trade: `sequence_num` counts every message of the connection, whatever it is about."""
    if not isinstance(message, Mapping) or "sequence_num" not in message:
        return ()
    if message.get("channel") == "l2_data":
        for event in message["events"]:
            for _, price, size in map(_COINBASE_LEVEL, event["updates"]):
                # ccxt drops a level whose price is no number, and the book goes on without it
                if not (0 < float(price) < inf and 0 <= float(size) < inf):
                    raise ValueError(f"a level of price {price} and size {size}")
    number = message["sequence_num"]
    return (Update(None, number - 1, number),)


def compare(last: int | None, update: Update) -> Verdict:
    """Whether an update follows `last`, the id before it on this connection; the first, or a snapshot, follows.

    Being next counts before being old: an exchange may restart its ids and still name the one before.
    """
    if last is None or update.previous is None or update.previous == last:
        return Verdict.FOLLOWS
    return Verdict.REPEATS if update.last is not None and update.last <= last else Verdict.BREAKS


def is_old(update: Update, nonce: int | None) -> bool:
    """Whether an update was in the state `nonce` already."""
    if nonce is None or update.previous is None or update.last is None:
        return False
    return update.last <= nonce


def is_older(nonce: int | None, last: int | None) -> bool:
    """Whether a state comes before the last one, where both have an id."""
    return nonce is not None and last is not None and nonce < last


def skips(update: Update, nonce: int | None) -> bool:
    """Whether an update is a snapshot between which and the state `nonce` there may have been others."""
    is_snapshot = update.previous is None and update.last is not None
    return is_snapshot and (nonce is None or update.last not in {nonce, nonce + 1})
