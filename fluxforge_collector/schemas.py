"""Bronze schemas: the columns of each channel, declared once; journal, Parquet, checks and docs derive from them."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from fluxforge_collector.records import Channel

SCHEMA_VERSION = "1"

_NAME = pa.dictionary(pa.int32(), pa.string())
_CAPTURE = pa.timestamp("us", tz="UTC")
_LEVEL = pa.struct([pa.field("price", pa.float64(), nullable=False), pa.field("size", pa.float64(), nullable=False)])
LEVELS = pa.list_(pa.field("element", _LEVEL, nullable=False))


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """A schema whose fields are not null unless a third value says so."""
    return pa.schema(
        [pa.field(f[0], f[1], nullable=len(f) == 3 and bool(f[2])) for f in fields],
        metadata={"fluxforge.schema_version": SCHEMA_VERSION},
    )


_KEY = (("collected_at", pa.int64()), ("capture_ts", _CAPTURE), ("exchange", _NAME), ("symbol", _NAME))
_ORDER = (("seq", pa.int64()), ("conn", pa.int32()))
_TICKER_NUMBERS = (
    "bid", "ask", "bid_volume", "ask_volume", "last", "open", "high", "low", "close", "vwap",
    "base_volume", "quote_volume", "change", "percentage",
)  # fmt: skip

BRONZE: dict[Channel, pa.Schema] = {
    Channel.ORDERBOOK: _schema(
        *_KEY,
        ("timestamp", pa.int64(), True),
        ("nonce", pa.int64(), True),
        ("bids", LEVELS),
        ("asks", LEVELS),
        *_ORDER,
    ),
    Channel.TRADES: _schema(
        *_KEY,
        ("trade_id", pa.string(), True),
        ("timestamp", pa.int64(), True),
        ("side", _NAME, True),
        ("price", pa.float64()),
        ("amount", pa.float64()),
        ("cost", pa.float64(), True),
        ("info_json", pa.string(), True),
        *_ORDER,
        ("backfilled", pa.bool_()),
    ),
    Channel.TICKER: _schema(
        *_KEY,
        *((name, pa.float64(), True) for name in _TICKER_NUMBERS),
        ("timestamp", pa.int64(), True),
        ("info_json", pa.string(), True),
        *_ORDER,
    ),
    Channel.GAPS: _schema(
        ("exchange", _NAME),
        ("symbol", _NAME),
        ("channel", _NAME),
        ("gap_start", _CAPTURE),
        ("gap_end", _CAPTURE),
        ("reason", _NAME),
        ("lost", pa.int64(), True),
        ("detail", pa.string(), True),
        ("seq", pa.int64()),
    ),
    Channel.FRAMES: _schema(
        ("recv_ns", pa.int64()),
        ("exchange", _NAME),
        ("conn", pa.int32()),
        ("url", _NAME),
        ("direction", _NAME),
        ("text", pa.string()),
        ("seq", pa.int64()),
    ),
}
"""The schema of each channel, in the column order of the files."""


def plain_schema(channel: Channel, names: Sequence[str] | None = None) -> pa.Schema:
    """The channel's schema with plain strings for dictionaries; only these columns where they are named."""
    fields = [f for f in BRONZE[channel] if names is None or f.name in names]
    return pa.schema([f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in fields])


def order_of(channel: Channel) -> list[str]:
    """The columns an instrument's rows are sorted by."""
    return [{Channel.GAPS: "gap_start", Channel.FRAMES: "recv_ns"}.get(channel, "capture_ts"), "seq"]


MEANINGS: dict[str, str] = {
    "collected_at": "When it was received, by the collector's wall clock [ms]",
    "capture_ts": "When it was received; never decreases per instrument and channel within a collector",
    "exchange": "ccxt's id of the exchange",
    "symbol": "ccxt's unified symbol",
    "timestamp": "When the exchange says it happened [ms]",
    "nonce": "The exchange's own number of the book state",
    "bids": "Levels from the highest price down [price, base]",
    "asks": "Levels from the lowest price up [price, base]",
    "seq": "Arrival ordinal of the collector",
    "conn": "Ordinal of the connection it came by; -1 where it was fetched over REST",
    "trade_id": "The exchange's id of the trade",
    "side": "The taker's side: buy or sell",
    "price": "Price [quote per base]",
    "amount": "Amount [base]",
    "cost": "Value as sent [quote]",
    "info_json": "The exchange's own message, where it is kept",
    "backfilled": "Fetched over REST after a gap; capture_ts is then when it would have come, collected_at when it did",
    "bid": "Best bid [quote per base]",
    "ask": "Best ask [quote per base]",
    "bid_volume": "Size at the best bid [base]",
    "ask_volume": "Size at the best ask [base]",
    "last": "Price of the last trade [quote per base]",
    "open": "Price 24 h ago [quote per base]",
    "high": "Highest price of 24 h [quote per base]",
    "low": "Lowest price of 24 h [quote per base]",
    "close": "Last price, again [quote per base]",
    "vwap": "Volume-weighted price of 24 h [quote per base]",
    "base_volume": "Volume of 24 h [base]",
    "quote_volume": "Value traded in 24 h [quote]",
    "change": "Change over 24 h [quote per base]",
    "percentage": "Change over 24 h [%]",
    "channel": "The channel that lacks data, or all",
    "gap_start": "From when nothing is proven to be complete",
    "gap_end": "Until when",
    "reason": "Why: disconnect, sequence, checksum, queue_full, stale, crash, shutdown, bad_frame or clock",
    "lost": "Records known to be lost; 0 takes back earlier rows of the same span: all came after all",
    "detail": "What else is known",
    "recv_ns": "When it was received or sent, capture time [ns]",
    "url": "The exchange's address",
    "direction": "recv, send, open, close, error or rest",
    "text": "The frame, verbatim but for secrets; of a close its code, of an error its message",
}
"""What a column means, in every channel that has it; units in brackets."""
