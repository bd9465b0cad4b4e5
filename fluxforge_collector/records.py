"""Records: one typed row each, as the taps make them and the journal keeps them. Plain values, no behaviour.

Times are integers: `capture_us` microseconds, `collected_ms` and `timestamp_ms` milliseconds since the epoch.
`seq` is the collector's arrival ordinal, `conn` the ordinal of the connection that brought the frame.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Channel(StrEnum):
    """A kind of record; the order is the order of sealing."""

    ORDERBOOK = "orderbook"
    TRADES = "trades"
    TICKER = "ticker"
    GAPS = "gaps"
    FRAMES = "frames"


class GapReason(StrEnum):
    """Why something is not all here."""

    DISCONNECT = "disconnect"
    SEQUENCE = "sequence"
    CHECKSUM = "checksum"
    QUEUE_FULL = "queue_full"
    STALE = "stale"
    CRASH = "crash"
    SHUTDOWN = "shutdown"
    BAD_FRAME = "bad_frame"
    CLOCK = "clock"


class Direction(StrEnum):
    """What a recorded frame was."""

    RECV = "recv"
    SEND = "send"
    OPEN = "open"
    CLOSE = "close"
    ERROR = "error"
    REST = "rest"


EVERY_SYMBOL = "*"
"""The symbol of what concerns an exchange as a whole: its recorded frames, and the gaps among them. No market's."""


class BookRecord(NamedTuple):
    """One state of an order book by value; levels are flat, price then size, best first."""

    exchange: str
    symbol: str
    collected_ms: int
    capture_us: int
    timestamp_ms: int | None
    nonce: int | None
    bids: list[float]
    asks: list[float]
    seq: int
    conn: int


class TradeRecord(NamedTuple):
    """One trade; `side` is the taker's, price in quote per base, amount in base, cost in quote."""

    exchange: str
    symbol: str
    collected_ms: int
    capture_us: int
    trade_id: str | None
    timestamp_ms: int | None
    side: str | None
    price: float
    amount: float
    cost: float | None
    info_json: str | None
    seq: int
    conn: int
    backfilled: bool


class TickerRecord(NamedTuple):
    """One ticker; the exchange's own summary, kept as a cross-check."""

    exchange: str
    symbol: str
    collected_ms: int
    capture_us: int
    bid: float | None
    ask: float | None
    bid_volume: float | None
    ask_volume: float | None
    last: float | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    vwap: float | None
    base_volume: float | None
    quote_volume: float | None
    change: float | None
    percentage: float | None
    timestamp_ms: int | None
    info_json: str | None
    seq: int
    conn: int


class FrameRecord(NamedTuple):
    """What went over an exchange's wire, verbatim: a frame, a connection's begin or end, or an answer over REST.

    `text` is the frame, the close code, the error, or the answer; `conn` is -1 for REST.
    """

    exchange: str
    recv_ns: int
    conn: int
    url: str
    direction: Direction
    text: str
    seq: int

    @property
    def symbol(self) -> str:
        """Every one: a frame belongs to its exchange."""
        return EVERY_SYMBOL

    @property
    def capture_us(self) -> int:
        """Capture time, as of the records made of the frame."""
        return self.recv_ns // 1000


class GapRecord(NamedTuple):
    """What lies between the two instants on this channel is not (all) here; `channel` may be `all`."""

    exchange: str
    symbol: str
    channel: str
    gap_start_us: int
    gap_end_us: int
    reason: GapReason
    lost: int | None
    detail: str | None
    seq: int


Record = BookRecord | TradeRecord | TickerRecord | FrameRecord | GapRecord
