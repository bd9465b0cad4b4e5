"""Continuity: how the wire of each exchange shows that nothing was lost on it. Values and pure state; no socket.

An exchange that is not in `PROOFS` is collected all the same, but a loss on its wire can go unseen: coverage calls it
unproven.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from fluxforge_collector.records import Channel, GapReason
from fluxforge_collector.sequence.judges import Finding, Judge, KrakenJudge, OkxJudge, SequenceJudge
from fluxforge_collector.sequence.updates import (
    Update,
    Verdict,
    is_old,
    is_older,
    read_binance,
    read_bybit,
    read_coinbase,
    skips,
)

__all__ = [
    "PROOFS", "Finding", "Judge", "Proof", "Update", "Verdict", "is_old", "is_older", "is_proven", "judge_of", "skips",
]  # fmt: skip


class Proof(NamedTuple):
    """What proves an exchange: a `sequence` or a `checksum`, on which channels, and who judges it."""

    by: GapReason
    channels: frozenset[Channel]
    judge: Callable[[], Judge]


_BOOKS = frozenset({Channel.ORDERBOOK})
_ALL = frozenset({Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER})
_BINANCE = Proof(GapReason.SEQUENCE, _BOOKS, partial(SequenceJudge, read_binance))
_BYBIT = Proof(GapReason.SEQUENCE, _BOOKS, partial(SequenceJudge, read_bybit, is_opened_by_snapshot=True))
_OKX = Proof(GapReason.SEQUENCE, _BOOKS, OkxJudge)

PROOFS: dict[str, Proof] = {
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceus": _BINANCE,
    "binanceusdm": _BINANCE,
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "coinbase": Proof(GapReason.SEQUENCE, _ALL, partial(SequenceJudge, read_coinbase)),
    "kraken": Proof(GapReason.CHECKSUM, _BOOKS, KrakenJudge),
    "okx": _OKX,
    "okxus": _OKX,
    "myokx": _OKX,
}
"""How the exchanges are proven, by ccxt's id."""


def is_proven(exchange: str, channel: str) -> bool:
    """Whether a loss on the wire of this channel is noticed."""
    proof = PROOFS.get(exchange)
    return proof is not None and channel in proof.channels


def judge_of(exchange: str) -> Judge | None:
    """A judge for a new connection to an exchange; None where nothing proves it."""
    proof = PROOFS.get(exchange)
    return None if proof is None else proof.judge()
