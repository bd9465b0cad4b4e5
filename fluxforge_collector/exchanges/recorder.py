"""The recorder: what a feed's taps report becomes records and gaps, and every frame gets its outcome. No socket here.

One frame is handled at a time: `begin`, then `judge` with the parsed message, then the books, trades and tickers that
ccxt makes of it, then `end`. A book made outside a frame comes from a snapshot fetched over REST.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.dialects import Acknowledgement, Dialect
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.in_hand import Distrust, FrameInHand
from fluxforge_collector.exchanges.normalise import Stamp, book_record, ticker_record, trade_record
from fluxforge_collector.exchanges.sound import is_finite
from fluxforge_collector.exchanges.streams import UNSOUND
from fluxforge_collector.exchanges.surroundings import Connection, Ends, Market, Start
from fluxforge_collector.exchanges.trade_pages import Trade
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import Channel, GapReason, TradeRecord
from fluxforge_collector.sequence import Finding, Verdict, is_old, is_older, judge_of, skips


class Recorder(Connections):
    """Makes the records of one feed: the streams in `asked`, whose symbols are all in `markets`.

    `uninvited` are symbols that came without being asked for: whoever keeps anything of them is to let go of it.
    """

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
        has_backfill: bool = False,
    ) -> None:
        super().__init__(exchange, asked, ends=ends, start=start, has_backfill=has_backfill)
        self._depth = depth
        self._dialect = dialect
        self._markets = markets
        self._symbols: dict[str, list[str]] = {}
        for symbol, market in markets.items():
            self._symbols.setdefault(market.market_id, []).append(symbol)
        self._frame: FrameInHand | None = None
        self.uninvited: set[str] = set()

    def dial(self, url: str) -> Connection:
        """A connection begins, with a judge of its own."""
        connection = super().dial(url)
        connection.judge = judge_of(self.exchange)
        return connection

    @property
    def connection(self) -> Connection | None:
        """The connection of the frame in hand."""
        return self._frame.connection if self._frame else None

    def begin(self, connection: Connection, text: str | bytes) -> bool:
        """A frame has arrived; False where it is not to be looked at."""
        if not self.takes(connection, len(text)):
            return False
        clock = self._ends.clock
        self._frame = FrameInHand(connection, text, clock.capture_us(), clock.wall_us() // 1000)
        return True

    def judge(self, message: Any) -> bool:
        """Look at the message of the frame in hand before ccxt does: is it next, and what does it acknowledge?

        Returns: whether ccxt is to see it. A repetition would be applied once more, one that follows a break of the
        whole connection is worth nothing, and trades of the past would pass for new ones.
        """
        frame = self._frame
        if frame is None:
            return True
        judge = frame.connection.judge
        findings = judge.look(message, frame.text) if judge is not None else ()
        for finding in findings:
            if finding.update.market is not None:
                self._take_finding(frame, finding, finding.update.market)
            elif finding.verdict is Verdict.BREAKS:
                frame.outcome, frame.untrusted = Outcome.AFTER_ERROR, Distrust(finding.reason, finding.detail)
                self.lose(frame.connection, finding.reason, finding.detail)
                return False
        if findings and not [finding for finding in findings if finding.verdict is not Verdict.REPEATS]:
            frame.outcome = Outcome.STALE_UPDATE if frame.updates else Outcome.DUPLICATE
            return False
        if self._dialect.is_past is not None and self._dialect.is_past(message):
            frame.outcome = Outcome.PAST
            return False
        if self._streams.has_gaps and not frame.updates:
            for answer in self._dialect.acknowledges(message):
                self.acknowledge(frame.connection, answer)
        return True

    def _take_finding(self, frame: FrameInHand, finding: Finding, market: str) -> None:
        symbol = self._symbol_of(market, frame.connection)
        frame.updates += ((symbol, finding.update),)
        stream = Stream(Channel.ORDERBOOK, symbol)
        seen = self._streams.get(stream)
        if seen is None:
            return
        if finding.verdict is not Verdict.BREAKS:
            if seen.is_synced and seen.last_us is not None and skips(finding.update, seen.nonce):
                self._streams.open_gap(stream, seen.last_us, GapReason.SEQUENCE, "a snapshot that follows nothing")
        else:
            frame.broken[symbol] = finding
            if not finding.has_begun:
                frame.untrusted = Distrust(finding.reason, f"{symbol}: {finding.detail}")
            if seen.last_us is not None:
                self._streams.open_gap(stream, seen.last_us, finding.reason, finding.detail)

    def _symbol_of(self, market: str, connection: Connection) -> str:
        """The symbol of an exchange's own id; spot and a contract may share one, but never a connection."""
        symbols = self._symbols.get(market, [market])
        if len(symbols) == 1:
            return symbols[0]
        return next((s for s in symbols if Stream(Channel.ORDERBOOK, s) in connection.streams), symbols[0])

    def acknowledge(self, connection: Connection, answer: Acknowledgement) -> None:
        """Trades and tickers are whole again once their subscription stands; a book only with its next state."""
        frame = self._frame
        if frame is None:
            return
        for stream in connection.streams:
            is_meant = answer.channel in {None, stream.channel} and (
                answer.market in {None, stream.symbol, self._markets[stream.symbol].market_id}
            )
            if is_meant and stream.channel is not Channel.ORDERBOOK:
                self._streams.close_gap(stream, frame.capture_us)
                self._streams[stream].flows = True
                frame.connection.last_us = frame.capture_us

    def end(self) -> Distrust | None:
        """The frame is done with. Returns: why its connection cannot be trusted any more, where it cannot."""
        frame, self._frame = self._frame, None
        if frame is None:
            return None
        outcome = frame.outcome or self._missing_state(frame) or frame.rejected or Outcome.CONTROL
        self.settle(frame.connection, frame.capture_us, outcome)
        return frame.untrusted

    def _missing_state(self, frame: FrameInHand) -> Outcome | None:
        """The outcome of book updates that gave no state; a stream that had states before has a gap since the last."""
        outcome = None
        for symbol, update in frame.updates:
            stream = Stream(Channel.ORDERBOOK, symbol)
            seen = self._streams.get(stream)
            if seen is None:
                outcome = outcome or Outcome.NOT_ASKED
            elif is_old(update, seen.nonce):
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
        """A state of ccxt's live book. The same state may come under several names: the first one counts.

        Raises: DataError for numbers that cannot be: ccxt builds on them, so its connection is of no more use.
        """
        frame = self._frame
        symbol = self._asked(Channel.ORDERBOOK, book["symbol"])
        if symbol is None:
            return
        seen = self._streams[Stream(Channel.ORDERBOOK, symbol)]
        nonce = book.get("nonce") or self._id_of_update(symbol)
        if frame is None:
            if connection.is_lost or self.is_stopped or is_older(nonce, seen.nonce):
                return
        elif frame.hashes.setdefault(symbol, message_hash) != message_hash:
            return
        elif symbol in frame.broken:
            # ccxt has built on an update that does not follow: nothing more of this book may be believed
            finding = frame.broken[symbol]
            frame.outcome, frame.untrusted = Outcome.RESYNC, Distrust(finding.reason, f"{symbol}: {finding.detail}")
            return
        if self._is_snapshot(symbol):
            if not is_finite(book):
                raise DataError(f"{symbol}: {UNSOUND}")
            if nonce is not None and nonce == seen.nonce:
                # recorded already; from here on the stream is whole again
                seen.is_synced = True
                if frame is not None:
                    frame.outcome = Outcome.DUPLICATE
                at_us = frame.capture_us if frame is not None else self._ends.clock.capture_us()
                self._streams.close_gap(Stream(Channel.ORDERBOOK, symbol), at_us)
                return
        if frame is not None:
            frame.outcome = Outcome.STATES
        contract = self._markets[symbol].contract
        stamp = self._stamp(connection)
        record = book_record(book, self.exchange, symbol, stamp, nonce=nonce, depth=self._depth, contract=contract)
        if not self._streams.emit(Stream(Channel.ORDERBOOK, symbol), record, record.capture_us, record.timestamp_ms):
            raise DataError(f"{symbol}: {UNSOUND}")
        seen.nonce, seen.is_synced = nonce, True

    def _is_snapshot(self, symbol: str) -> bool:
        """Whether a book comes from a snapshot: over REST, or in the frame in hand."""
        frame = self._frame
        return frame is None or any(market == symbol and update.previous is None for market, update in frame.updates)

    def _id_of_update(self, symbol: str) -> int | None:
        """The id in the frame in hand of a book to which ccxt gives none."""
        updates = self._frame.updates if self._frame is not None else ()
        return next((update.last for market, update in updates if market == symbol), None)

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
        record = self.trade_record(trade, symbol, self._stamp(connection))
        if not self._streams.emit(stream, record, record.capture_us, record.timestamp_ms):
            self._reject(Outcome.BAD_FRAME)
            return
        if self._streams.missing and trade_id is not None:
            self._streams.note(stream, trade)
        if self._frame is not None:
            self._frame.outcome = Outcome.TRADES

    def trade_record(self, trade: Trade, symbol: str, stamp: Stamp) -> TradeRecord:
        """The record of a trade in ccxt's form. Raises: TypeError without price or amount."""
        contract, is_makers_side = self._markets[symbol].contract, self._dialect.is_makers_side
        return trade_record(trade, self.exchange, symbol, contract, stamp, is_makers_side=is_makers_side)

    def ticker(self, connection: Connection, ticker: Mapping[str, Any]) -> None:
        """A ticker. ccxt hands the same one out alone and among others: once a frame, and once at all."""
        symbol = self._asked(Channel.TICKER, ticker["symbol"])
        if symbol is None:
            return
        stream, frame = Stream(Channel.TICKER, symbol), self._frame
        if frame is not None:
            if id(ticker) in frame.seen:
                return
            frame.seen.add(id(ticker))
        contract = self._markets[symbol].contract
        record = ticker_record(ticker, self.exchange, symbol, contract, self._stamp(connection))
        if self._streams[stream].is_same_ticker(record) and self._streams.is_whole(stream):
            self._reject(Outcome.DUPLICATE)
            return
        if frame is not None:
            frame.outcome = Outcome.TICKERS
        self._streams.emit(stream, record, record.capture_us, record.timestamp_ms)

    def _asked(self, channel: Channel, symbol: str) -> str | None:
        """The symbol under which this one was asked for; None, noted, where it was not."""
        if Stream(channel, symbol) in self._streams:
            return symbol
        for asked, delivered in self._dialect.aliases.items():
            alias = symbol.removesuffix(delivered) + asked
            if symbol.endswith(delivered) and Stream(channel, alias) in self._streams:
                return alias
        self.uninvited.add(symbol)
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
