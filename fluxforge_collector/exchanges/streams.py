"""The streams of one feed: what was recorded of each, and the gaps open in them. Frames are elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

import structlog

from fluxforge_collector.exchanges.gaps import Gap, GapLedger, Stream
from fluxforge_collector.exchanges.last_ids import LastIds
from fluxforge_collector.exchanges.missing_trades import Found, Left, Missing, last_of
from fluxforge_collector.exchanges.sound import is_sound, sound_ticker
from fluxforge_collector.exchanges.surroundings import Ends, LastTrades, Start
from fluxforge_collector.exchanges.trade_pages import Trade
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel, GapReason, Record, TickerRecord, TradeRecord

log = structlog.get_logger()

UNSOUND = "a price or size that is not finite and above zero"
_SAID = slice(TickerRecord._fields.index("bid"), TickerRecord._fields.index("seq"))
MOST_MISSING = 8
"""Gaps of a stream that wait to be fetched again: where more end before an exchange answers, the first is left."""
MOST_AFTER = 10_000
"""Trades since a gap that an exchange does not give again: each is remembered by its id, so it is left as well."""
LONGEST_FETCH_US = 3_600_000_000
"""Trades of a longer gap are not fetched again: silver looks back as far for a trade that comes twice."""


@dataclass(eq=False)
class Seen:
    """What is known of a stream: its last record, and for books the id of the last state.

    `seen_s` is when it last brought one or was asked for, `asked_s` when it was first asked for. It `flows` once the
    connection that is to bring it now has done so, or has said that it will.
    """

    last_us: int | None = None
    seen_s: float = 0.0
    asked_s: float = inf
    nonce: int | None = None
    is_synced: bool = False
    flows: bool = False
    ticker: TickerRecord | None = None
    last_trade: TradeRecord | None = None
    trade_ids: LastIds = field(default_factory=LastIds)

    def is_same_ticker(self, record: TickerRecord) -> bool:
        """Whether a ticker says what the last one said, of the same instant; from now on it is the last."""
        last, self.ticker = self.ticker, record
        return last is not None and record[_SAID] == last[_SAID]

    def is_repeated(self, trade_id: str) -> bool:
        """Whether a trade was among the last ones; from now on it is."""
        if trade_id in self.trade_ids:
            return True
        self.trade_ids.add(trade_id)
        return False


class Streams:
    """The streams `asked` of an exchange; what was not recorded since `start`, until each begins to flow, is a gap.

    With `has_backfill`, a gap of trades that ends is not told of at once: it is `missing` until it is restored, which
    says what remains of it.
    """

    def __init__(
        self, exchange: str, asked: Iterable[Stream], *, ends: Ends, start: Start, has_backfill: bool = False
    ) -> None:
        self._exchange = exchange
        self._ends = ends
        self._start = start
        self._gaps = GapLedger()
        self._has_backfill = has_backfill
        self._broken: dict[Stream, Missing] = {}
        self.missing: list[Missing] = []
        self._seen = {stream: Seen(seen_s=ends.clock.monotonic()) for stream in asked}
        for stream in self._seen:
            self._gaps.open(stream, start.since_us, start.reason)
            earlier = start.trades.get(Instrument(exchange, stream.symbol))
            if earlier is not None and has_backfill and stream.channel is Channel.TRADES:
                self._follow(stream, earlier)

    def _follow(self, stream: Stream, earlier: LastTrades) -> None:
        """Miss the trades since those of an earlier run."""
        seen = self._seen[stream]
        seen.last_trade = earlier.last
        seen.trade_ids = LastIds(earlier.ids)
        gap = Gap(earlier.since_us, self._start.reason, None)
        self._broken[stream] = Missing(stream, gap, earlier.last, seen.trade_ids.copy())

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

    def emit(self, stream: Stream, record: Record, capture_us: int, timestamp_ms: int | None) -> bool:
        """Hand on a record of a stream, which is whole again with it; False, and a gap, where its numbers cannot be."""
        seen, tally = self._seen[stream], self._ends.tally
        if isinstance(record, TickerRecord):
            record = sound_ticker(record)
        elif not is_sound(record):
            log.warning(
                "record not kept", exchange=self._exchange, channel=stream.channel, symbol=stream.symbol, why=UNSOUND
            )
            if isinstance(record, TradeRecord) and record.trade_id is not None:
                seen.trade_ids.discard(record.trade_id)  # it may come again
            self.open_gap(stream, seen.last_us or capture_us, GapReason.BAD_FRAME, UNSOUND)
            return False
        if stream in self._gaps:
            self.close_gap(stream, capture_us)
        seen.last_us, seen.seen_s, seen.flows = capture_us, self._ends.clock.monotonic(), True
        tally.records[self._exchange, stream.channel] += 1
        tally.last_us[self._exchange, stream.symbol, stream.channel] = capture_us
        if timestamp_ms is not None:
            tally.lag_ms[self._exchange, stream.channel] = capture_us / 1000 - timestamp_ms
        if isinstance(record, TradeRecord):
            seen.last_trade = record
        self._ends.emit(record)
        return True

    def redirect(self, ends: Ends) -> None:
        """Hand everything to other ends from now on."""
        self._ends = ends

    def is_whole(self, stream: Stream) -> bool:
        """Whether a stream flows, as far as is known."""
        return stream not in self._gaps

    def undelivered(self, patience_s: float) -> list[Stream]:
        """Streams without any record so long after each was asked for; the gap of each goes on."""
        since_s = self._ends.clock.monotonic() - patience_s
        found = [stream for stream, seen in self._seen.items() if seen.last_us is None and seen.asked_s <= since_s]
        found = [stream for stream in found if stream.channel is not Channel.TRADES or stream in self._gaps]
        for stream in found:
            self.open_gap(stream, self._start.since_us, GapReason.STALE, "asked for and never delivered")
        return found

    def note(self, stream: Stream, trade: Trade) -> None:
        """A trade was recorded: what is fetched again for its stream ends before it."""
        for missing in self._missing_of(stream):
            missing.note(trade)
            if len(missing.after) > MOST_AFTER:
                self._leave(missing)

    def _missing_of(self, stream: Stream) -> list[Missing]:
        return [missing for missing in self.missing if missing.stream == stream]

    def open_gap(self, stream: Stream, start_us: int, reason: GapReason, detail: str | None = None) -> None:
        """A stream is not whole since an instant; the first cause stands."""
        is_new = self._gaps.open(stream, start_us, reason, detail)
        if is_new and self._has_backfill and stream.channel is Channel.TRADES:
            seen = self._seen[stream]
            for before in self._missing_of(stream):
                before.is_followed = True
            gap = Gap(start_us, reason, detail)
            self._broken[stream] = Missing(stream, gap, seen.last_trade, seen.trade_ids.copy())

    def close_gap(self, stream: Stream, end_us: int) -> None:
        """A stream is whole again; its trades may be fetched again first."""
        gap, missing = self._gaps.close(stream), self._broken.pop(stream, None)
        if gap is None:
            return
        if missing is None or end_us - missing.gap.start_us > LONGEST_FETCH_US:
            self._write_gap(stream, gap, end_us)
            return
        missing.end(gap, end_us)
        self.missing.append(missing)
        waiting = self._missing_of(stream)
        if len(waiting) > MOST_MISSING:
            self._leave(waiting[0])

    def _leave(self, missing: Missing) -> None:
        """Wait no longer for the trades of a gap: they stay lost."""
        log.warning("trades given up", exchange=self._exchange, symbol=missing.stream.symbol)
        self.restore(missing, [], Found([], [Left(missing.gap.start_us, missing.end_us, None)]))

    def restore(self, missing: Missing, records: list[TradeRecord], found: Found) -> None:
        """Trades were fetched again: hand them on, and say what of their gap remains."""
        if missing not in self.missing:
            return
        self.missing.remove(missing)
        stream, gap, tally = missing.stream, missing.gap, self._ends.tally
        seen = self._seen.get(stream) or Seen()  # it may be asked for no longer
        # the fetch for the gap before this one may have brought some of them already
        records = [record for record in records if record.trade_id is None or not seen.is_repeated(record.trade_id)]
        for record in records:
            tally.records[self._exchange, stream.channel] += 1
            tally.backfilled[self._exchange] += 1
            self._ends.emit(record)
        seen.last_trade = last_of(seen.last_trade, records)
        for later in [*self._missing_of(stream), *filter(None, [self._broken.get(stream)])]:
            later.learn(records)
        tally.backfills[self._exchange, "partly" if found.left else "whole"] += 1
        for part in found.left:
            detail = f"{len(records)} trades fetched again; {gap.detail or ''}"[:200]
            left = Gap(part.start_us, gap.reason, detail)
            self._ends.write_gap(self._exchange, stream, left, part.end_us, lost=part.lost)
        if missing.told_us is not None and not found.left:
            whole = gap._replace(detail=f"fetched again: {len(records)} trades")
            self._ends.write_gap(self._exchange, stream, whole, missing.told_us, lost=0)

    def forget(self, stream: Stream) -> None:
        """A stream is asked for no longer: its gap ends now; what is missing of its trades may still be restored."""
        self.close_gap(stream, self._ends.clock.capture_us())
        self._seen.pop(stream, None)

    def checkpoint(self, at_us: int) -> None:
        """Write what open gaps have come to: whoever dies before a gap ends has still told of it."""
        if not self._start.is_negligible(at_us):
            for stream, gap in self._gaps.split(at_us):
                self._ends.write_gap(self._exchange, stream, gap, at_us)
        self._tell_missing(at_us)

    def close(self) -> None:
        """Gaps still open end now."""
        now_us = self._ends.clock.capture_us()
        self._tell_missing(now_us)
        self.missing.clear()
        for stream, gap in self._gaps.close_all():
            self._write_gap(stream, gap, now_us)

    def silent_s(self, stream: Stream) -> float:
        """Seconds since a stream last brought a record, or was last asked for."""
        return self._ends.clock.monotonic() - self._seen[stream].seen_s

    def _tell_missing(self, at_us: int) -> None:
        """Write what is missing although it may yet be fetched: a row with nothing lost takes it back then."""
        for missing in self.missing:
            end_us = min(at_us, missing.end_us)
            gap = missing.untold(end_us)
            if gap is not None:
                self._ends.write_gap(self._exchange, missing.stream, gap, end_us)

    def _write_gap(self, stream: Stream, gap: Gap, end_us: int) -> None:
        is_initial = gap.start_us <= self._start.since_us
        if not is_initial or not self._start.is_negligible(end_us):
            self._ends.write_gap(self._exchange, stream, gap, end_us)
