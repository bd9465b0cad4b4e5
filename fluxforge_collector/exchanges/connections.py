"""The connections of one feed: what they carry, what they bring, and what their end means for their streams.

Every recorder builds on it, whatever protocol it records; what a frame says is not known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.missing_trades import Found, Missing
from fluxforge_collector.exchanges.normalise import Stamp
from fluxforge_collector.exchanges.sound import is_sound
from fluxforge_collector.exchanges.streams import Streams
from fluxforge_collector.exchanges.surroundings import Connection, Ends, Start
from fluxforge_collector.exchanges.trade_pages import Trade
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import GapReason, TradeRecord

NO_CONNECTION = -1
"""The connection of what came over REST."""


class Connections(ABC):
    """The connections that bring the streams `asked` of an exchange; see `Streams` for `has_backfill`."""

    def __init__(
        self, exchange: str, asked: Iterable[Stream], *, ends: Ends, start: Start, has_backfill: bool = False
    ) -> None:
        self.exchange = exchange
        self.is_stopped = False
        self._ends = ends
        self._addresses: set[str] = set()
        self._watch_due_s = ends.clock.monotonic()
        self._streams = Streams(exchange, asked, ends=ends, start=start, has_backfill=has_backfill)

    def dial(self, url: str) -> Connection:
        """A connection begins."""
        now_s = self._ends.clock.monotonic()
        return Connection(self._ends.next_conn(), url, now_s, now_s)

    def carry(self, connection: Connection, streams: Iterable[Stream]) -> None:
        """A connection is asked to bring these streams; what they brought on another one no longer counts."""
        for stream in streams:
            if stream in self._streams and stream not in connection.streams:
                connection.streams.add(stream)
                seen, now_s = self._streams[stream], self._ends.clock.monotonic()
                seen.is_synced, seen.flows = False, False
                seen.seen_s, seen.asked_s = now_s, min(seen.asked_s, now_s)

    def connected(self, connection: Connection) -> None:
        """A connection stands; one to an address that was connected before is a reconnect."""
        connection.opened_s = connection.data_s = self._ends.clock.monotonic()
        if connection.url in self._addresses:
            self._ends.tally.reconnects[self.exchange] += 1
        self._addresses.add(connection.url)

    def takes(self, connection: Connection, characters: int) -> bool:
        """Count a frame's characters; False, its outcome counted too, where it is not to be looked at."""
        tally = self._ends.tally
        tally.frame_bytes[self.exchange] += characters
        if connection.is_lost or self.is_stopped:
            tally.frames[self.exchange, Outcome.AFTER_STOP if self.is_stopped else Outcome.AFTER_ERROR] += 1
            return False
        return True

    def settle(self, connection: Connection, capture_us: int, outcome: Outcome) -> None:
        """A frame is done with; only data shows that a connection is well."""
        self._ends.tally.frames[self.exchange, outcome] += 1
        if outcome is not Outcome.CONTROL:
            connection.last_us = capture_us
            connection.data_s = self._ends.clock.monotonic()

    def lose(self, connection: Connection, reason: GapReason, detail: str) -> None:
        """A connection is of no more use: its streams have a gap since it last brought data.

        A book may have come later than its last frame: out of a snapshot over REST.
        """
        if connection.is_lost:
            return
        connection.is_lost = True
        for stream in connection.streams:
            seen = self._streams[stream]
            start_us = max(connection.last_us or 0, seen.last_us or 0) or self._ends.clock.capture_us()
            seen.is_synced, seen.flows = False, False
            self._streams.open_gap(stream, start_us, reason, detail[:200])

    @property
    def missing(self) -> list[Missing]:
        """Gaps of trades that have ended, and are to be fetched again."""
        return self._streams.missing

    def restore(self, missing: Missing, found: Found) -> None:
        """Record the trades that were fetched again, each at the time when it would have come."""
        symbol, wall_ms = missing.stream.symbol, self._ends.clock.wall_us() // 1000
        records = []
        for trade, capture_us in found.trades:
            stamp = Stamp(wall_ms, capture_us, self._ends.next_seq(), NO_CONNECTION)
            record = self.trade_record(trade, symbol, stamp)._replace(backfilled=True)
            if is_sound(record):
                records.append(record)
        self._streams.restore(missing, records, found)

    @abstractmethod
    def trade_record(self, trade: Trade, symbol: str, stamp: Stamp) -> TradeRecord:
        """The record of a trade that was fetched again: each protocol has its own form of it."""

    def forget(self, stream: Stream) -> None:
        """A stream is asked for no longer; it is on no connection now."""
        self._streams.forget(stream)

    def checkpoint(self, at_us: int) -> None:
        """Write what open gaps have come to, although they are open still."""
        self._streams.checkpoint(at_us)

    def stop(self) -> None:
        """Nothing more is recorded; gaps still open end now."""
        if not self.is_stopped:
            self.is_stopped = True
            self._streams.close()

    def age_s(self, connection: Connection) -> float:
        """Seconds since a connection was made."""
        return self._ends.clock.monotonic() - connection.opened_s

    def quiet_s(self, connection: Connection) -> float:
        """Seconds since a connection last brought data."""
        return self._ends.clock.monotonic() - connection.data_s

    def mark_watched(self, for_s: float = 0.0) -> None:
        """Whoever keeps the connections open has turned, and may take `for_s` seconds until it turns again."""
        self._watch_due_s = self._ends.clock.monotonic() + for_s

    @property
    def unwatched_s(self) -> float:
        """Seconds for which whoever keeps the connections open is overdue."""
        return self._ends.clock.monotonic() - self._watch_due_s

    def redirect(self, ends: Ends) -> None:
        """Hand everything to other ends from now on."""
        self._ends = ends
        self._streams.redirect(ends)

    def open_gap(self, stream: Stream, start_us: int, reason: GapReason, detail: str) -> None:
        """A stream is not whole since an instant, until its next record."""
        self._streams.open_gap(stream, start_us, reason, detail)

    def is_whole(self, stream: Stream) -> bool:
        """Whether a stream flows, as far as is known."""
        return self._streams.is_whole(stream)

    def flows(self, stream: Stream) -> bool:
        """Whether the connection of a stream brings it: a book that is to be built anew counts as well."""
        return self._streams[stream].flows

    def undelivered(self, patience_s: float) -> list[Stream]:
        """Streams that were asked for so long ago and never brought anything: they have a gap until they do.

        Trades may rightly pause once their subscription stands.
        """
        return self._streams.undelivered(patience_s)

    def silent_s(self, stream: Stream) -> float:
        """Seconds since a stream last brought a record, or was last asked for."""
        return self._streams.silent_s(stream)
