"""The bounded queue between the feeds and the writer: two ends, a bound, statistics. Nothing is lost silently.

An exchange cannot be slowed, so a full queue gives up what is worth least: recorded frames go first, then a waiting
ticker or book is replaced by the newer one of its instrument, then the oldest tickers go, then the oldest books, trades
last. What is lost is counted, and becomes a gap row that the writer gets in its place.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import (
    BookRecord,
    Channel,
    FrameRecord,
    GapReason,
    GapRecord,
    Record,
    TickerRecord,
    TradeRecord,
)

Key = tuple[str, str, Channel]

_NUMBER = sys.getsizeof(1.0) + 8  # a float and the list's pointer to it


class _Loss(NamedTuple):
    """Records of a stream given up, between two capture times in microseconds, inclusive."""

    first_us: int
    last_us: int
    lost: int


class _Slot:
    """A place in the queue; a newer record of the same instrument may take it."""

    __slots__ = ("record", "size")

    def __init__(self, record: Record, size: int) -> None:
        self.record = record
        self.size = size


class RecordQueue:
    """Holds at most `maxsize` records and `max_bytes` bytes, estimated, of books, trades, tickers and frames.

    Gap rows are always taken: they are few, and say what became of the others.
    """

    def __init__(self, maxsize: int, max_bytes: int, *, next_seq: Callable[[], int], tally: Tally) -> None:
        self._maxsize = maxsize
        self._max_bytes = max_bytes
        self._next_seq = next_seq
        self._tally = tally
        # sources have a queue each, and one tally
        tally.queue_limit_records += maxsize
        tally.queue_limit_bytes += max_bytes
        self._waiting: dict[Channel, deque[_Slot]] = {
            channel: deque()
            for channel in (Channel.TRADES, Channel.ORDERBOOK, Channel.TICKER, Channel.FRAMES, Channel.GAPS)
        }
        self._newest: dict[Channel, dict[tuple[str, str], _Slot]] = {channel: {} for channel in self._waiting}
        self._losses: dict[Key, _Loss] = {}
        self._records = 0
        self._bytes = 0
        self._ready = asyncio.Event()
        self._wake_at = max(1, min(500, maxsize // 2))

    def __len__(self) -> int:
        return self._records

    @property
    def is_full(self) -> bool:
        """Whether a further record would cost one."""
        return self._records >= self._maxsize or self._bytes >= self._max_bytes

    def put(self, record: Record) -> None:
        """Take a record, never waiting; where the queue is full, something is given up and counted."""
        channel, size = _CHANNELS[type(record)], _size(record)
        slot = _Slot(record, size)
        if self._is_too_much(size) and channel is not Channel.GAPS and not self._has_place(channel, slot):
            return
        self._waiting[channel].append(slot)
        self._newest[channel][record.exchange, record.symbol] = slot
        self._add(1, size)
        if self._records >= self._wake_at:
            self._ready.set()

    async def get_batch(self, maximum: int, *, wait_s: float = 0.1) -> list[Record]:
        """Up to `maximum` records, when a good number waits or `wait_s` seconds have passed; maybe none."""
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await self._ready.wait()
            except TimeoutError:
                pass
        return self.take(maximum)

    def take(self, maximum: int | None = None) -> list[Record]:
        """Up to `maximum` records at once, all of them by default: each channel's in the order they came."""
        batch: list[Record] = [self._to_gap(key, loss) for key, loss in self._losses.items()]
        self._losses.clear()
        for channel, slots in self._waiting.items():
            count = len(slots) if maximum is None else min(len(slots), max(0, maximum - len(batch)))
            batch += [slot.record for slot in self._pop(channel, count)]
        if self._records < self._wake_at:
            self._ready.clear()
        return batch

    def _is_too_much(self, size: int) -> bool:
        return self._records >= self._maxsize or self._bytes + size > self._max_bytes

    def _has_place(self, channel: Channel, slot: _Slot) -> bool:
        """Whether the full queue has given something up for a record; else it takes another's place, or is lost."""
        if self._give_up(Channel.FRAMES, slot.size):
            return True
        if self._replace(channel, slot):
            return False
        if self._make_room(channel, slot.size):
            return True
        self._lose(channel, slot.record)
        return False

    def _replace(self, channel: Channel, slot: _Slot) -> bool:
        """Let a newer book or ticker take the place of the one of its instrument that waits last."""
        older = self._newest[channel].get((slot.record.exchange, slot.record.symbol))
        if channel in {Channel.TRADES, Channel.FRAMES} or older is None:
            return False
        if self._bytes - older.size + slot.size > self._max_bytes:
            return False
        self._lose(channel, older.record)
        self._add(0, slot.size - older.size)
        older.record, older.size = slot.record, slot.size
        return True

    def _make_room(self, channel: Channel, size: int) -> bool:
        """Give up what is worth less than a record of this channel, oldest first; False where that is not enough."""
        worth_less: dict[Channel, tuple[Channel, ...]] = {
            Channel.TRADES: (Channel.TICKER, Channel.ORDERBOOK),
            Channel.ORDERBOOK: (Channel.TICKER, Channel.ORDERBOOK),
            Channel.TICKER: (Channel.TICKER,),
        }
        return any(self._give_up(lesser, size) for lesser in worth_less.get(channel, ()))

    def _give_up(self, channel: Channel, size: int) -> bool:
        """Give up the oldest records of a channel until so many bytes fit; False where that is not enough."""
        slots = self._waiting[channel]
        while slots and self._is_too_much(size):
            self._lose(channel, self._pop(channel, 1)[0].record)
        return not self._is_too_much(size)

    def _pop(self, channel: Channel, count: int) -> list[_Slot]:
        """Take the oldest out of a channel."""
        slots, newest = self._waiting[channel], self._newest[channel]
        taken = [slots.popleft() for _ in range(count)]
        if not slots:
            newest.clear()
        else:
            for slot in taken:
                instrument = slot.record.exchange, slot.record.symbol
                if newest[instrument] is slot:
                    del newest[instrument]
        self._add(-count, -sum(slot.size for slot in taken))
        return taken

    def _add(self, records: int, size: int) -> None:
        self._records += records
        self._bytes += size
        tally = self._tally
        tally.queue_records += records
        tally.queue_bytes += size
        tally.queue_peak = max(tally.queue_peak, tally.queue_records)

    def _lose(self, channel: Channel, record: Record) -> None:
        at_us = record.gap_end_us if isinstance(record, GapRecord) else record.capture_us
        key = record.exchange, record.symbol, channel
        loss = self._losses.get(key, _Loss(at_us, at_us, 0))
        self._losses[key] = _Loss(min(loss.first_us, at_us), max(loss.last_us, at_us), loss.lost + 1)
        self._tally.lost[record.exchange, channel] += 1

    def _to_gap(self, key: Key, loss: _Loss) -> GapRecord:
        exchange, symbol, channel = key
        reason = GapReason.QUEUE_FULL
        self._tally.gaps[exchange, reason] += 1
        return GapRecord(
            exchange, symbol, channel, loss.first_us, loss.last_us, reason, loss.lost, None, self._next_seq()
        )


_CHANNELS: dict[type, Channel] = {
    BookRecord: Channel.ORDERBOOK,
    TradeRecord: Channel.TRADES,
    TickerRecord: Channel.TICKER,
    FrameRecord: Channel.FRAMES,
    GapRecord: Channel.GAPS,
}


def _size(record: Record) -> int:
    """Roughly the bytes a record keeps alive."""
    if isinstance(record, BookRecord):
        return 300 + _NUMBER * (len(record.bids) + len(record.asks))
    return 600 + len(record.text) if isinstance(record, FrameRecord) else 600
