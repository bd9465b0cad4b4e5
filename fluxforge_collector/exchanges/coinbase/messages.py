"""What Coinbase Advanced Trade sends, as values: each frame read once, checked while it is read. Nothing is kept here.

Prices and sizes are read from decimal text to the nearest float; a price must be positive, a size not negative, and
neither infinite. Fields that nobody reads are skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import orjson

from fluxforge_collector.errors import DataError

_LARGEST = sys.float_info.max

Price = Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)]
Size = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]
Kind = Literal["snapshot", "update"]


class Level(msgspec.Struct, gc=False):
    """One level as it now is; a size of 0 means that it is gone."""

    side: Literal["bid", "offer"]
    price_level: Price
    new_quantity: Size


class BookEvent(msgspec.Struct, gc=False):
    """A whole book, or what changed in it."""

    type: Kind
    product_id: str
    updates: list[Level]


class BookFrame(msgspec.Struct, tag_field="channel", tag="l2_data", gc=False):
    """Order books."""

    sequence_num: int
    timestamp: datetime
    events: list[BookEvent]


class Trade(msgspec.Struct, gc=False):
    """One trade; `side` is that of the order which rested in the book, the maker's."""

    trade_id: str
    product_id: str
    price: Price
    size: Size
    side: str
    time: datetime


class TradesAnswer(msgspec.Struct, gc=False):
    """The answer to a request for trades, newest first."""

    trades: list[Trade]


class TradesEvent(msgspec.Struct, gc=False):
    """Trades, newest first; a snapshot tells of those before the subscription."""

    type: Kind
    trades: list[Trade]


class TradesFrame(msgspec.Struct, tag_field="channel", tag="market_trades", gc=False):
    """Trades."""

    sequence_num: int
    events: list[TradesEvent]


class Ticker(msgspec.Struct, gc=False):
    """The summary of a product; a number that is not known is empty or missing."""

    product_id: str
    price: str = ""
    volume_24_h: str = ""
    low_24_h: str = ""
    high_24_h: str = ""
    price_percent_chg_24_h: str = ""
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class TickerEvent(msgspec.Struct, gc=False):
    """Tickers of products."""

    tickers: list[Ticker]


class TickerFrame(msgspec.Struct, tag_field="channel", tag="ticker", gc=False):
    """Tickers."""

    sequence_num: int
    timestamp: datetime
    events: list[TickerEvent]


class Subscribed(msgspec.Struct, gc=False):
    """Products by channel, all that the connection is subscribed to."""

    subscriptions: dict[str, list[str]] = {}


class SubscriptionsFrame(msgspec.Struct, tag_field="channel", tag="subscriptions", gc=False):
    """The answer to a subscription."""

    sequence_num: int
    events: list[Subscribed]


class ControlFrame(msgspec.Struct, gc=False):
    """A frame without data for us, such as a heartbeat: only its number counts."""

    sequence_num: int


class ErrorFrame(msgspec.Struct, gc=False):
    """What was asked for is refused; not numbered."""

    type: Literal["error"]
    message: str = ""


NumberedFrame = BookFrame | TradesFrame | TickerFrame | SubscriptionsFrame | ControlFrame
Frame = NumberedFrame | ErrorFrame

# not strict: numbers come as text
_DATA = msgspec.json.Decoder(BookFrame | TradesFrame | TickerFrame | SubscriptionsFrame, strict=False)
_PAST = msgspec.json.Decoder(TradesAnswer, strict=False)
_READ_CHANNELS = frozenset({"l2_data", "market_trades", "ticker", "subscriptions"})


def read_frame(data: bytes | str) -> Frame:
    """The frame in a websocket message. Raises: DataError where it is not what Coinbase sends."""
    try:
        frame: Frame = _DATA.decode(data)
    except msgspec.ValidationError as error:
        return _read_other(data, str(error))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise DataError(f"no JSON: {error}") from None
    return frame


def _read_other(data: bytes | str, why_no_data: str) -> Frame:
    """A frame of no channel with data, or a refusal. Raises: DataError where it is something else."""
    try:
        message = msgspec.json.decode(data)
        if isinstance(message, Mapping) and message.get("channel") not in _READ_CHANNELS:
            if "channel" in message:
                return msgspec.convert(message, ControlFrame, strict=False)
            return msgspec.convert(message, ErrorFrame)
    except (msgspec.MsgspecError, RecursionError, TypeError) as error:
        raise DataError(str(error)) from None
    raise DataError(why_no_data)


def read_trades(body: bytes) -> list[Trade]:
    """The trades in an answer. Raises: DataError where it is none."""
    try:
        return _PAST.decode(body).trades
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise DataError(f"no list of trades: {error}") from None


def subscription(channel: str, products: Sequence[str], jwt: str | None) -> str:
    """The message that subscribes a connection to one channel of some products; of none for heartbeats."""
    message: dict[str, Any] = {"type": "subscribe", "channel": channel}
    if products:
        message["product_ids"] = list(products)
    if jwt is not None:
        message["jwt"] = jwt
    return orjson.dumps(message).decode()
