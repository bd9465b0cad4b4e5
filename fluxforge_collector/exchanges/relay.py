"""Two feeds of the same streams that nobody can tell apart: each stream passes from old to new without a seam.

A book or ticker passes at the moment when both feeds have said the same last: what the new one says next is next.
Trades pass once the new subscription has stood for a while: their ids tell which of them the other has brought. Pure.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.surroundings import Ends
from fluxforge_collector.records import BookRecord, Channel, GapRecord, Record, TickerRecord, TradeRecord

_MOST_HELD = 10_000
_CHANNELS = {BookRecord: Channel.ORDERBOOK, TradeRecord: Channel.TRADES, TickerRecord: Channel.TICKER}


class Relay:
    """Stands between two feeds and the ends of the world; `old` and `new` are the ends to give them meanwhile."""

    def __init__(self, streams: Iterable[Stream], ends: Ends) -> None:
        self._ends = ends
        self._left = set(streams)
        self._said: dict[Stream, tuple[Any, Any]] = {}
        self._brought: dict[Stream, set[str | None]] = defaultdict(set)
        self._held: dict[Stream, deque[TradeRecord]] = defaultdict(lambda: deque(maxlen=_MOST_HELD))
        self._last_us: dict[Stream, int] = {}
        self.old = replace(ends, emit=self._from_old)
        self.new = replace(ends, emit=self._from_new)

    @property
    def left(self) -> frozenset[Stream]:
        """The streams that have not passed yet."""
        return frozenset(self._left)

    def last_us(self, stream: Stream) -> int | None:
        """When the last record of a stream was captured that was handed on."""
        return self._last_us.get(stream)

    def move(self, stream: Stream) -> None:
        """A stream passes to the new feed; the trades that only this one has brought are handed on."""
        self._left.discard(stream)
        for trade in self._held.pop(stream, ()):
            if trade.trade_id not in self._brought[stream]:
                at_us = max(trade.capture_us, self._last_us.get(stream, 0))
                self._count(trade, 1)
                self._ends.emit(trade._replace(capture_us=at_us, seq=self._ends.next_seq()))

    def _from_old(self, record: Record) -> None:
        stream = _stream(record)
        if stream not in self._left:
            self._count(record, -1)
            return
        self._ends.emit(record)
        if isinstance(record, GapRecord):
            return
        self._last_us[stream] = record.capture_us
        if isinstance(record, TradeRecord):
            self._brought[stream].add(record.trade_id)
        elif isinstance(record, BookRecord | TickerRecord):
            self._compare(stream, _content(record), None)

    def _from_new(self, record: Record) -> None:
        stream = _stream(record)
        if stream in self._left:
            self._count(record, -1)
            if isinstance(record, TradeRecord):
                self._held[stream].append(record)
            elif isinstance(record, BookRecord | TickerRecord):
                self._compare(stream, None, _content(record))
        elif (
            isinstance(record, TradeRecord) and record.trade_id is not None and record.trade_id in self._brought[stream]
        ):
            self._count(record, -1)
        else:
            self._ends.emit(record)
            if not isinstance(record, GapRecord):
                self._last_us[stream] = record.capture_us

    def _compare(self, stream: Stream, old: Any, new: Any) -> None:
        """Note what one feed has said; where it is what the other has said last, the stream passes."""
        last_old, last_new = self._said.get(stream, (None, None))
        said = self._said[stream] = (old or last_old, new or last_new)
        if said[0] == said[1]:
            self.move(stream)

    def _count(self, record: Record, by: int) -> None:
        """Correct the tally, which has counted what is held back."""
        if isinstance(record, GapRecord):
            self._ends.tally.gaps[record.exchange, record.reason] += by
        else:
            self._ends.tally.records[record.exchange, _CHANNELS[type(record)]] += by


def _stream(record: Record) -> Stream:
    if isinstance(record, GapRecord):
        return Stream(Channel(record.channel), record.symbol)
    return Stream(_CHANNELS[type(record)], record.symbol)


def _content(record: BookRecord | TickerRecord) -> tuple[Any, ...]:
    """What a record says, whoever brought it and when."""
    return tuple(record._replace(collected_ms=0, capture_us=0, seq=0, conn=0))
