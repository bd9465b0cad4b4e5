"""Numbers that cannot be: what an exchange sends that is no price and no size is kept out of bronze. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from operator import itemgetter
from typing import Any

from fluxforge_collector.records import BookRecord, Record, TickerRecord, TradeRecord

MOST_LEVELS = 400_000
"""Levels of a side, ten times those of the largest known: beyond, they are sent to fill our memory."""

_PRICES = ("bid", "ask", "last", "open", "high", "low", "close", "vwap")
_AMOUNTS = ("bid_volume", "ask_volume", "base_volume", "quote_volume")
_CHANGES = ("change", "percentage")


def is_sound(record: Record) -> bool:
    """Whether every price and size of a book or trade is finite and above zero."""
    if isinstance(record, BookRecord):
        return _is_sound_side(record.bids) and _is_sound_side(record.asks)
    if isinstance(record, TradeRecord):
        return _is_sound_side([record.price, record.amount])
    return True


def is_finite(book: Mapping[str, Iterable[Sequence[float]]]) -> bool:
    """Whether every price and size of a whole book of ccxt is finite, however deep.

    A NaN among the prices of a snapshot sinks below the depth recorded, and the level it should have been is missing.
    """
    return all(isfinite(sum(map(itemgetter(place), book[side]))) for side in ("bids", "asks") for place in (0, 1))


def sound_ticker(ticker: TickerRecord) -> TickerRecord:
    """The ticker without what is no price, no amount or no number: that is null."""
    wrong = [name for name in _PRICES if not _is_at_least(getattr(ticker, name), 0, or_more=False)]
    wrong += [name for name in _AMOUNTS if not _is_at_least(getattr(ticker, name), 0)]
    wrong += [name for name in _CHANGES if not _is_at_least(getattr(ticker, name), float("-inf"))]
    nothing: dict[str, Any] = dict.fromkeys(wrong)
    return ticker._replace(**nothing) if wrong else ticker


def _is_sound_side(levels: list[float]) -> bool:
    # a sum is finite only where all that is summed is; then prices are in order, and the least size can be told
    return not levels or (isfinite(sum(levels)) and levels[0] > 0 < levels[-2] and min(levels[1::2]) > 0)


def _is_at_least(number: float | None, least: float, *, or_more: bool = True) -> bool:
    return number is None or (isfinite(number) and (number > least or (or_more and number == least)))
