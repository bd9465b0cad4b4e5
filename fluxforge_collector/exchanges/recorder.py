"""The recorder: what a feed's taps report becomes records and gaps, and every frame gets its outcome. No socket here.

One frame is handled at a time: `begin`, then `judge` with the parsed message, then the books, trades and tickers that
ccxt makes of it, then `end`. A book made outside a frame comes from a snapshot fetched over REST.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.dialects import Dialect
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.normalise import Stamp, book_record, ticker_record, trade_record
from fluxforge_collector.exchanges.surroundings import Connection, Ends, Market, Start
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import Channel, GapReason
from fluxforge_collector.sequence import Update, Verdict, judge


class _Frame:
    """What has become of the frame in hand so far."""

    __slots__ = (
        "broken",
        "capture_us",
        "connection",
        "hashes",
        "outcome",
        "rejected",
        "seen",
        "untrusted",
        "updates",
        "wall_ms",
    )

    def __init__(self, connection: Connection, capture_us: int, wall_ms: int) -> None:
        self.connection = connection
        self.capture_us = capture_us
        self.wall_ms = wall_ms
        self.outcome: Outcome | None = None
        self.rejected: Outcome | None = None
        self.updates: tuple[tuple[str, Update], ...] = ()
        self.broken: set[str] = set()
        self.untrusted: str | None = None
        self.hashes: dict[str, str] = {}
        self.seen: set[int] = set()


class Recorder(Connections):
    """Makes the records of one feed: the streams in `asked`, whose symbols are all in `markets`."""

    def __init__(
        self,
        exchange: str,
        asked: Iterable[Stream],
        *,
        markets: Mapping[str, Market],
        depth: int,
        dialect: Dialect,
        ends: Ends,
        start: Start,
    ) -> None:
        super().__init__(exchange, asked, ends=ends, start=start)
        self._depth = depth
        self._dialect = dialect
        self._markets = markets
        self._symbols = {market.market_id: symbol for symbol, market in markets.items()}
        self._frame: _Frame | None = None

    @property
    def connection(self) -> Connection | None:
        """The connection of the frame in hand."""
        return self._frame.connection if self._frame else None

    def begin(self, connection: Connection, characters: int) -> bool:
        """A frame has arrived; False where it is not to be looked at."""
        if not self.takes(connection, characters):
            return False
        clock = self._ends.clock
        self._frame = _Frame(connection, clock.capture_us(), clock.wall_us() // 1000)
        return True

    def judge(self, message: Any) -> None:
        """Look at the message of the frame in hand before ccxt does: is it next, and what does it acknowledge?"""
        frame = self._frame
        if frame is None:
            return
        if self._dialect.read is not None:
            for update in self._dialect.read(message):
                self._judge_update(frame, update)
        if self._streams.has_gaps and not frame.updates:
            self._acknowledge(frame, message)

    def _judge_update(self, frame: _Frame, update: Update) -> None:
        symbol = self._symbols.get(update.market, update.market)
        frame.updates += ((symbol, update),)
        stream = Stream(Channel.ORDERBOOK, symbol)
        seen = self._streams.get(stream)
        if seen is None:
            return
        verdict = judge(seen.wire_id, update)
        if verdict is Verdict.BREAKS:
            frame.broken.add(symbol)
            if seen.last_us is not None:
                detail = f"update after {update.previous} follows {seen.wire_id}"
                self._streams.open_gap(stream, seen.last_us, GapReason.SEQUENCE, detail)
        if verdict is not Verdict.REPEATS:
            seen.wire_id = update.last

    def _acknowledge(self, frame: _Frame, message: Any) -> None:
        """Trades and tickers are whole again once their subscription stands; a book only with its next state."""
        answer = self._dialect.acknowledges(message)
        if answer is None:
            return
        for stream in frame.connection.streams:
            is_meant = answer.channel in {None, stream.channel} and (
                answer.market is None or answer.market == self._markets[stream.symbol].market_id
            )
            if is_meant and stream.channel is not Channel.ORDERBOOK:
                self._streams.close_gap(stream, frame.capture_us)

    def end(self) -> str | None:
        """The frame is done with. Returns: why its connection cannot be trusted any more, where it cannot."""
        frame, self._frame = self._frame, None
        if frame is None:
            return None
        outcome = frame.outcome or self._missing_state(frame) or frame.rejected or Outcome.CONTROL
        self.settle(frame.connection, frame.capture_us, outcome)
        # where ccxt has built on an update that does not follow, nothing more of this book may be believed
        return f"the sequence of {frame.untrusted} is broken" if frame.untrusted else None

    def _missing_state(self, frame: _Frame) -> Outcome | None:
        """The outcome of book updates that gave no state; a stream that had states before has a gap since the last."""
        outcome = None
        for symbol, update in frame.updates:
            stream = Stream(Channel.ORDERBOOK, symbol)
            seen = self._streams.get(stream)
            if seen is None:
                outcome = outcome or Outcome.NOT_ASKED
            elif seen.nonce is not None and update.previous is not None and update.last <= seen.nonce:
                outcome = outcome or Outcome.STALE_UPDATE
            else:
                outcome = Outcome.RESYNC if seen.is_synced else Outcome.BEFORE_SNAPSHOT
                if seen.last_us is not None:
                    self._streams.open_gap(stream, seen.last_us, GapReason.SEQUENCE, "book fetched anew")
        return outcome

    def spoil(self, error: Exception) -> None:
        """The frame in hand could not be handled."""
        self._frame, frame = None, self._frame
        self._ends.tally.frames[self.exchange, Outcome.BAD_FRAME] += 1
        if frame is not None:
            self.lose(frame.connection, GapReason.BAD_FRAME, f"{type(error).__name__}: {error}")

    # what ccxt makes of a frame

    def book(self, connection: Connection, book: Any, message_hash: str) -> None:
        """A state of ccxt's live book. The same state may come under several names: the first one counts."""
        frame = self._frame
        symbol = self._asked(Channel.ORDERBOOK, book["symbol"])
        if symbol is None:
            return
        seen = self._streams[Stream(Channel.ORDERBOOK, symbol)]
        nonce = book.get("nonce")
        if frame is None:
            if connection.is_lost or self.is_stopped or _is_older(nonce, seen.nonce):
                return
        elif frame.hashes.setdefault(symbol, message_hash) != message_hash:
            return
        elif symbol in frame.broken:
            frame.untrusted, frame.outcome = symbol, Outcome.RESYNC
            return
        else:
            frame.outcome = Outcome.STATES
        contract = self._markets[symbol].contract
        record = book_record(book, self.exchange, symbol, self._stamp(connection), depth=self._depth, contract=contract)
        self._streams.emit(Stream(Channel.ORDERBOOK, symbol), record, record.capture_us, record.timestamp_ms)
        seen.nonce, seen.is_synced = nonce, True

    def trade(self, connection: Connection, trade: Mapping[str, Any]) -> None:
        """A trade; one whose id was seen lately is a repetition. Raises: TypeError without price or amount."""
        symbol = self._asked(Channel.TRADES, trade["symbol"])
        if symbol is None:
            return
        stream = Stream(Channel.TRADES, symbol)
        trade_id = trade.get("id")
        if trade_id is not None and self._streams[stream].is_repeated(trade_id):
            self._reject(Outcome.DUPLICATE)
            return
        contract = self._markets[symbol].contract
        record = trade_record(trade, self.exchange, symbol, contract, self._stamp(connection))
        self._streams.emit(stream, record, record.capture_us, record.timestamp_ms)
        if self._frame is not None:
            self._frame.outcome = Outcome.TRADES

    def ticker(self, connection: Connection, ticker: Mapping[str, Any]) -> None:
        """A ticker. ccxt hands the same one out alone and among others: it counts once a frame."""
        symbol = self._asked(Channel.TICKER, ticker["symbol"])
        if symbol is None:
            return
        if self._frame is not None:
            if id(ticker) in self._frame.seen:
                return
            self._frame.seen.add(id(ticker))
            self._frame.outcome = Outcome.TICKERS
        contract = self._markets[symbol].contract
        record = ticker_record(ticker, self.exchange, symbol, contract, self._stamp(connection))
        self._streams.emit(Stream(Channel.TICKER, symbol), record, record.capture_us, record.timestamp_ms)

    def _asked(self, channel: Channel, symbol: str) -> str | None:
        """The symbol under which this one was asked for; None, noted, where it was not."""
        if Stream(channel, symbol) in self._streams:
            return symbol
        for asked, delivered in self._dialect.aliases.items():
            alias = symbol.removesuffix(delivered) + asked
            if symbol.endswith(delivered) and Stream(channel, alias) in self._streams:
                return alias
        self._reject(Outcome.NOT_ASKED)
        return None

    def _reject(self, outcome: Outcome) -> None:
        if self._frame is not None:
            self._frame.rejected = outcome

    def _stamp(self, connection: Connection) -> Stamp:
        frame, clock = self._frame, self._ends.clock
        if frame is None:
            return Stamp(clock.wall_us() // 1000, clock.capture_us(), self._ends.next_seq(), connection.ordinal)
        return Stamp(frame.wall_ms, frame.capture_us, self._ends.next_seq(), connection.ordinal)


def _is_older(nonce: int | None, last: int | None) -> bool:
    return nonce is not None and last is not None and nonce < last
