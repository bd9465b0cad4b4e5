"""From ccxt's structures to records: pure functions of values. No socket, no clock.

Amounts become base units: a linear contract's size is so many base units, an inverse one's so many quote units.
The `side` ccxt gives a public trade is the taker's, as is ours, save where it hands on the maker's. Its `info` is not
kept: what it holds beyond these columns would more than double the files; whoever needs every byte records the frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple

from fluxforge_collector.records import BookRecord, TickerRecord, TradeRecord

_OTHER_SIDE: dict[Any, str] = {"buy": "sell", "sell": "buy"}


class Stamp(NamedTuple):
    """When and as which arrival a record was made."""

    collected_ms: int
    capture_us: int
    seq: int
    conn: int


class Contract(NamedTuple):
    """What one contract is: `size` base units, or `size` quote units where `is_inverse`."""

    size: float
    is_inverse: bool

    def to_base(self, contracts: float, price: float) -> float:
        """Base units in so many contracts at a price."""
        return contracts * self.size / price if self.is_inverse else contracts * self.size


def contract_of(market: Mapping[str, Any]) -> Contract | None:
    """The contract a ccxt market trades in; None where its amounts are base units already."""
    if not market.get("contract"):
        return None
    size = float(market.get("contractSize") or 1.0)
    is_inverse = bool(market.get("inverse"))
    return None if size == 1.0 and not is_inverse else Contract(size, is_inverse)


def flat_levels(side: list[list[float]], depth: int, contract: Contract | None) -> list[float]:
    """The best `depth` levels of a ccxt book side by value, price and size in turn."""
    top = side[:depth]
    if contract is not None:
        return [x for level in top for x in (level[0], contract.to_base(level[1], level[0]))]
    flat = list(chain.from_iterable(top))
    # some exchanges add a third value per level, a count or an order id
    return flat if len(flat) == 2 * len(top) else [x for level in top for x in level[:2]]


def book_record(
    book: Mapping[str, Any],
    exchange: str,
    symbol: str,
    stamp: Stamp,
    *,
    nonce: int | None,
    depth: int,
    contract: Contract | None,
) -> BookRecord:
    """A record of ccxt's live book, sharing nothing with it."""
    return BookRecord(
        exchange,
        symbol,
        stamp.collected_ms,
        stamp.capture_us,
        book.get("timestamp"),
        nonce,
        flat_levels(book["bids"], depth, contract),
        flat_levels(book["asks"], depth, contract),
        stamp.seq,
        stamp.conn,
    )


def trade_record(
    trade: Mapping[str, Any],
    exchange: str,
    symbol: str,
    contract: Contract | None,
    stamp: Stamp,
    *,
    is_makers_side: bool = False,
) -> TradeRecord:
    """A record of a ccxt trade. Raises: TypeError where price or amount is missing."""
    price, amount, cost = float(trade["price"]), float(trade["amount"]), trade.get("cost")
    if contract is not None:
        amount = contract.to_base(amount, price)
        cost = amount * price
    trade_id, side = trade.get("id"), trade.get("side")
    return TradeRecord(
        exchange,
        symbol,
        stamp.collected_ms,
        stamp.capture_us,
        None if trade_id is None else str(trade_id),
        trade.get("timestamp"),
        _OTHER_SIDE.get(side) if is_makers_side else side,
        price,
        amount,
        cost,
        None,
        stamp.seq,
        stamp.conn,
        backfilled=False,
    )


def ticker_record(
    ticker: Mapping[str, Any], exchange: str, symbol: str, contract: Contract | None, stamp: Stamp
) -> TickerRecord:
    """A record of a ccxt ticker; numbers the exchange does not send are null."""
    bid, ask = ticker.get("bid"), ticker.get("ask")
    bid_volume, ask_volume = ticker.get("bidVolume"), ticker.get("askVolume")
    if contract is not None:
        bid_volume = contract.to_base(bid_volume, bid) if bid and bid_volume is not None else None
        ask_volume = contract.to_base(ask_volume, ask) if ask and ask_volume is not None else None
    return TickerRecord(
        exchange,
        symbol,
        stamp.collected_ms,
        stamp.capture_us,
        bid,
        ask,
        bid_volume,
        ask_volume,
        ticker.get("last"),
        ticker.get("open"),
        ticker.get("high"),
        ticker.get("low"),
        ticker.get("close"),
        ticker.get("vwap"),
        ticker.get("baseVolume"),
        ticker.get("quoteVolume"),
        ticker.get("change"),
        ticker.get("percentage"),
        ticker.get("timestamp"),
        None,
        stamp.seq,
        stamp.conn,
    )
