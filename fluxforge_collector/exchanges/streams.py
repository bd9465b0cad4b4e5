"""The streams of one feed: what was recorded of each, and the gaps open in them. Frames are elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from fluxforge_collector.exchanges.gaps import Gap, GapLedger, Stream
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.records import GapReason, Record

_REMEMBERED_TRADES = 1000


@dataclass(eq=False)
class Seen:
    """What is known of a stream: its last record, and for books the id of the last state."""

    last_us: int | None = None
    seen_s: float = 0.0
    nonce: int | None = None
    is_synced: bool = False
    trade_ids: set[str] = field(default_factory=set)
    trade_order: deque[str] = field(default_factory=deque)

    def is_repeated(self, trade_id: str) -> bool:
        """Whether a trade was among the last ones; from now on it is."""
        if trade_id in self.trade_ids:
            return True
        if len(self.trade_order) == _REMEMBERED_TRADES:
            self.trade_ids.discard(self.trade_order.popleft())
        self.trade_ids.add(trade_id)
        self.trade_order.append(trade_id)
        return False


class Streams:
    """The streams `asked` of an exchange; what was not recorded since `start`, until each begins to flow, is a gap."""

    def __init__(self, exchange: str, asked: Iterable[Stream], *, ends: Ends, start: Start) -> None:
        self._exchange = exchange
        self._ends = ends
        self._start = start
        self._gaps = GapLedger()
        self._seen = {stream: Seen(seen_s=ends.clock.monotonic()) for stream in asked}
        for stream in self._seen:
            self._gaps.open(stream, start.since_us, start.reason)

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._seen

    def __getitem__(self, stream: Stream) -> Seen:
        return self._seen[stream]

    def get(self, stream: Stream) -> Seen | None:
        """What is known of a stream; None where it was not asked for."""
        return self._seen.get(stream)

    @property
    def has_gaps(self) -> bool:
        """Whether any stream is not whole now."""
        return bool(self._gaps)

    def emit(self, stream: Stream, record: Record, capture_us: int, timestamp_ms: int | None) -> None:
        """Hand on a record of a stream, which is whole again with it."""
        if stream in self._gaps:
            self.close_gap(stream, capture_us)
        seen, tally = self._seen[stream], self._ends.tally
        seen.last_us, seen.seen_s = capture_us, self._ends.clock.monotonic()
        tally.records[self._exchange, stream.channel] += 1
        tally.last_us[self._exchange, stream.symbol, stream.channel] = capture_us
        if timestamp_ms is not None:
            tally.lag_ms[self._exchange, stream.channel] = capture_us / 1000 - timestamp_ms
        self._ends.emit(record)

    def open_gap(self, stream: Stream, start_us: int, reason: GapReason, detail: str | None = None) -> None:
        """A stream is not whole since an instant; the first cause stands."""
        self._gaps.open(stream, start_us, reason, detail)

    def close_gap(self, stream: Stream, end_us: int) -> None:
        """A stream is whole again."""
        gap = self._gaps.close(stream)
        if gap is not None:
            self._write_gap(stream, gap, end_us)

    def forget(self, stream: Stream) -> None:
        """A stream is asked for no longer: its gap ends now."""
        self.close_gap(stream, self._ends.clock.capture_us())
        self._seen.pop(stream, None)

    def checkpoint(self, at_us: int) -> None:
        """Write what open gaps have come to: whoever dies before a gap ends has still told of it."""
        if not self._start.is_negligible(at_us):
            for stream, gap in self._gaps.split(at_us):
                self._ends.write_gap(self._exchange, stream, gap, at_us)

    def close(self) -> None:
        """Gaps still open end now."""
        now_us = self._ends.clock.capture_us()
        for stream, gap in self._gaps.close_all():
            self._write_gap(stream, gap, now_us)

    def silent_s(self, stream: Stream) -> float:
        """Seconds since a stream last brought a record, or was last asked for."""
        return self._ends.clock.monotonic() - self._seen[stream].seen_s

    def _write_gap(self, stream: Stream, gap: Gap, end_us: int) -> None:
        is_initial = gap.start_us <= self._start.since_us
        if not is_initial or not self._start.is_negligible(end_us):
            self._ends.write_gap(self._exchange, stream, gap, end_us)
