"""The recorder of Coinbase's frames: each is judged, becomes records and gaps, and gets its outcome. No socket here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.coinbase.book import OrderBook
from fluxforge_collector.exchanges.coinbase.mapping import (
    EXCHANGE,
    in_ccxt_form,
    milliseconds,
    ticker_record,
    trade_record,
)
from fluxforge_collector.exchanges.coinbase.messages import (
    BookFrame,
    ControlFrame,
    ErrorFrame,
    NumberedFrame,
    SubscriptionsFrame,
    TickerFrame,
    TradesFrame,
    read_frame,
)
from fluxforge_collector.exchanges.coinbase.products import Product
from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.normalise import Stamp
from fluxforge_collector.exchanges.streams import UNSOUND
from fluxforge_collector.exchanges.surroundings import Connection, Ends, Start
from fluxforge_collector.exchanges.trade_pages import Trade
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import BookRecord, Channel, GapReason, TradeRecord

CHANNELS = {Channel.ORDERBOOK: "level2", Channel.TRADES: "market_trades", Channel.TICKER: "ticker"}
"""Coinbase's names of the channels, as they are subscribed to."""


_OF_TRADES = (Outcome.TRADES, Outcome.BAD_FRAME, Outcome.DUPLICATE, Outcome.NOT_ASKED, Outcome.PAST)


class Break(NamedTuple):
    """Why a connection is of no more use; `is_refusal`: Coinbase has said no to what was asked on it."""

    reason: GapReason
    detail: str
    is_refusal: bool = False


@dataclass(eq=False)
class Session:
    """What belongs to one connection: the number of its next frame, and its books, none of which outlives it."""

    connection: Connection
    expected: int | None = None
    books: dict[str, OrderBook] = field(default_factory=dict)


class CoinbaseRecorder(Connections):
    """Makes the records of one feed: the streams in `asked`, whose symbols are all in `products`."""

    def __init__(
        self,
        asked: Iterable[Stream],
        *,
        products: Mapping[str, Product],
        depth: int,
        ends: Ends,
        start: Start,
        has_backfill: bool = False,
    ) -> None:
        super().__init__(EXCHANGE, asked, ends=ends, start=start, has_backfill=has_backfill)
        self._depth = depth
        # what was asked for as BTC-USDC comes as BTC-USD
        self._symbols = {product.delivered_id: symbol for symbol, product in products.items()}
        self._symbols |= {product.asked_id: symbol for symbol, product in products.items()}

    def open(self, url: str, streams: Iterable[Stream]) -> Session:
        """A connection begins that is to bring these streams."""
        connection = self.dial(url)
        self.carry(connection, streams)
        return Session(connection)

    def missing_books(self, session: Session) -> list[str]:
        """Symbols whose book the connection has not brought yet."""
        carried = {stream.symbol for stream in session.connection.streams if stream.channel is Channel.ORDERBOOK}
        return sorted(carried - session.books.keys())

    def receive(self, session: Session, data: bytes) -> Break | None:
        """Take a frame. Returns: why its connection, which is lost with it, cannot be trusted any more."""
        connection = session.connection
        if not self.takes(connection, len(data)):
            return None
        clock = self._ends.clock
        capture_us = clock.capture_us()
        outcome, broken = Outcome.BAD_FRAME, None
        try:
            frame = read_frame(data)
            if isinstance(frame, ErrorFrame):
                broken = Break(GapReason.BAD_FRAME, f"refused: {frame.message}", is_refusal=True)
            elif session.expected is None or frame.sequence_num == session.expected:
                session.expected = frame.sequence_num + 1
                outcome = self._take(session, frame, capture_us, clock.wall_us() // 1000)
            elif frame.sequence_num < session.expected:
                outcome = Outcome.DUPLICATE if isinstance(frame, TradesFrame) else Outcome.STALE_UPDATE
            else:
                outcome = Outcome.RESYNC
                broken = Break(GapReason.SEQUENCE, f"frame {frame.sequence_num} follows {session.expected - 1}")
        except Exception as error:  # noqa: BLE001  # whatever it is, this frame is not whole in the record
            broken = Break(GapReason.BAD_FRAME, f"{type(error).__name__}: {error}")
        if broken is not None:
            self.lose(connection, broken.reason, broken.detail)
        self.settle(connection, capture_us, outcome)
        return broken

    def _take(self, session: Session, frame: NumberedFrame, capture_us: int, wall_ms: int) -> Outcome:
        match frame:
            case BookFrame():
                return self._take_books(session, frame, capture_us, wall_ms)
            case TradesFrame():
                return self._take_trades(session, frame, capture_us, wall_ms)
            case TickerFrame():
                return self._take_tickers(session, frame, capture_us, wall_ms)
            case SubscriptionsFrame():
                self._acknowledge(session, frame, capture_us)
            case ControlFrame():
                pass
        return Outcome.CONTROL

    def _take_books(self, session: Session, frame: BookFrame, capture_us: int, wall_ms: int) -> Outcome:
        outcome = Outcome.NOT_ASKED
        timestamp_ms, ordinal = milliseconds(frame.timestamp), session.connection.ordinal
        for event in frame.events:
            symbol = self._symbols.get(event.product_id, "")
            stream = Stream(Channel.ORDERBOOK, symbol)
            if stream not in self._streams:
                continue
            book = session.books.get(symbol)
            if event.type == "snapshot":
                book = session.books[symbol] = book or OrderBook(self._depth)
                book.begin(event.updates)
            elif book is None:
                outcome = Outcome.BEFORE_SNAPSHOT if outcome is Outcome.NOT_ASKED else outcome
                continue
            else:
                book.apply(event.updates)
            if book.is_too_large:
                raise DataError(f"{symbol}: more levels than any market has")
            record = BookRecord(
                EXCHANGE,
                symbol,
                wall_ms,
                capture_us,
                timestamp_ms,
                frame.sequence_num,
                book.bids.top(),
                book.asks.top(),
                self._ends.next_seq(),
                ordinal,
            )
            if not self._streams.emit(stream, record, capture_us, timestamp_ms):
                raise DataError(f"{symbol}: {UNSOUND}")
            outcome = Outcome.STATES
        return outcome

    def _take_trades(self, session: Session, frame: TradesFrame, capture_us: int, wall_ms: int) -> Outcome:
        found: set[Outcome] = set()
        for event in frame.events:
            if event.type == "snapshot":
                found.add(Outcome.PAST)
                continue
            for trade in reversed(event.trades):
                symbol = self._symbols.get(trade.product_id, "")
                stream = Stream(Channel.TRADES, symbol)
                if stream not in self._streams:
                    found.add(Outcome.NOT_ASKED)
                elif self._streams[stream].is_repeated(trade.trade_id):
                    found.add(Outcome.DUPLICATE)
                else:
                    stamp = Stamp(wall_ms, capture_us, self._ends.next_seq(), session.connection.ordinal)
                    record = trade_record(trade, symbol, stamp)
                    is_kept = self._streams.emit(stream, record, capture_us, record.timestamp_ms)
                    if is_kept and self._streams.missing:
                        self._streams.note(stream, in_ccxt_form(trade))
                    found.add(Outcome.TRADES if is_kept else Outcome.BAD_FRAME)
        return next((outcome for outcome in _OF_TRADES if outcome in found), Outcome.CONTROL)

    def trade_record(self, trade: Trade, symbol: str, stamp: Stamp) -> TradeRecord:
        """The record of a trade that was fetched again."""
        return trade_record(trade["info"], symbol, stamp)

    def _take_tickers(self, session: Session, frame: TickerFrame, capture_us: int, wall_ms: int) -> Outcome:
        outcome, timestamp_ms = Outcome.NOT_ASKED, milliseconds(frame.timestamp)
        for event in frame.events:
            for ticker in event.tickers:
                symbol = self._symbols.get(ticker.product_id, "")
                stream = Stream(Channel.TICKER, symbol)
                if stream not in self._streams:
                    continue
                stamp = Stamp(wall_ms, capture_us, self._ends.next_seq(), session.connection.ordinal)
                self._streams.emit(stream, ticker_record(ticker, symbol, timestamp_ms, stamp), capture_us, timestamp_ms)
                outcome = Outcome.TICKERS
        return outcome

    def _acknowledge(self, session: Session, frame: SubscriptionsFrame, capture_us: int) -> None:
        """Trades and tickers are whole again once their subscription stands; a book only with its snapshot."""
        standing = [event.subscriptions for event in frame.events]
        for stream in session.connection.streams:
            name = CHANNELS[stream.channel]
            is_meant = any(
                self._symbols.get(product) == stream.symbol for of in standing for product in of.get(name, ())
            )
            if is_meant and stream.channel is not Channel.ORDERBOOK:
                self._streams.close_gap(stream, capture_us)
