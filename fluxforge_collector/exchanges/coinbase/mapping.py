"""From Coinbase's messages to records, and from its products to symbols. Pure functions of values.

Coinbase's `side` of a public trade is the maker's: a SELL that was filled means that the taker bought. Bronze holds the
taker's side, so it is turned here. Why we are sure of it stands in docs/how-to/collect-coinbase.md.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from fluxforge_collector.exchanges.coinbase.messages import Ticker, Trade
from fluxforge_collector.exchanges.normalise import Stamp
from fluxforge_collector.records import TickerRecord, TradeRecord

EXCHANGE = "coinbase"
"""What Coinbase is called in bronze: ccxt's id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAKER_OF_MAKER = {"BUY": "sell", "SELL": "buy"}


def product_of(symbol: str) -> str:
    """The product id of a spot symbol: `BTC/USD` gives `BTC-USD`."""
    return symbol.replace("/", "-", 1)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    age = moment - _EPOCH
    return age.days * 86_400_000 + age.seconds * 1000 + age.microseconds // 1000


def trade_record(trade: Trade, symbol: str, stamp: Stamp) -> TradeRecord:
    """A record of a trade. Its cost is not sent."""
    return TradeRecord(
        EXCHANGE,
        symbol,
        stamp.collected_ms,
        stamp.capture_us,
        trade.trade_id,
        milliseconds(trade.time),
        _TAKER_OF_MAKER.get(trade.side),
        trade.price,
        trade.size,
        None,
        None,
        stamp.seq,
        stamp.conn,
        backfilled=False,
    )


def in_ccxt_form(trade: Trade) -> dict[str, Any]:
    """What finds missing trades needs of one, under ccxt's names; `info` is the trade as it came."""
    return {"id": trade.trade_id, "timestamp": milliseconds(trade.time), "info": trade}


def ticker_record(ticker: Ticker, symbol: str, timestamp_ms: int, stamp: Stamp) -> TickerRecord:
    """A record of a ticker; what Coinbase does not send is null. Raises: ValueError for text that is no number."""
    last = _number(ticker.price)
    return TickerRecord(
        EXCHANGE,
        symbol,
        stamp.collected_ms,
        stamp.capture_us,
        bid=_number(ticker.best_bid),
        ask=_number(ticker.best_ask),
        bid_volume=_number(ticker.best_bid_quantity),
        ask_volume=_number(ticker.best_ask_quantity),
        last=last,
        open=None,
        high=_number(ticker.high_24_h),
        low=_number(ticker.low_24_h),
        close=last,
        vwap=None,
        base_volume=_number(ticker.volume_24_h),
        quote_volume=None,
        change=None,
        percentage=_number(ticker.price_percent_chg_24_h),
        timestamp_ms=timestamp_ms,
        info_json=None,
        seq=stamp.seq,
        conn=stamp.conn,
    )


def _number(text: str) -> float | None:
    if not text:
        return None
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
