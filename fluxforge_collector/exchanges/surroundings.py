"""What a recorder is given: markets, connections, since when nothing was recorded, and its ends in the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fluxforge_collector.clock import Clock
from fluxforge_collector.exchanges.gaps import Gap, Stream
from fluxforge_collector.exchanges.normalise import Contract
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import GapReason, GapRecord, Record, TradeRecord
from fluxforge_collector.sequence import Judge

_START_GRACE_US = 10_000_000


@dataclass(frozen=True)
class Market:
    """What the recorder needs of a market: the exchange's own id, and the contract it trades in."""

    market_id: str
    contract: Contract | None


@dataclass(eq=False)
class Connection:
    """One websocket from dialling to its end: `last_us` is when it last brought data, the seconds are monotonic.

    `judge` looks at each of its messages; None where nothing proves the exchange.
    """

    ordinal: int
    url: str
    opened_s: float
    data_s: float
    last_us: int | None = None
    streams: set[Stream] = field(default_factory=set)
    is_lost: bool = False
    judge: Judge | None = None


class LastTrades(NamedTuple):
    """What an earlier run recorded last of an instrument's trades: the last one, and the last ids in order.

    `since_us` is since when trades may be missing, capture time in microseconds.
    """

    last: TradeRecord
    ids: tuple[str, ...]
    since_us: int


class Start(NamedTuple):
    """Since when a feed's streams were not recorded, capture time in microseconds, and why.

    `is_first`: nothing was recorded before either, so the first moments are no loss. `trades` are those of an earlier
    run, after which they may be fetched again.
    """

    since_us: int
    reason: GapReason
    is_first: bool
    trades: Mapping[Instrument, LastTrades] = {}

    def is_negligible(self, end_us: int) -> bool:
        """Whether an absence until `end_us` is only that of a first start."""
        return self.is_first and end_us - self.since_us < _START_GRACE_US


@dataclass(frozen=True)
class Ends:
    """What a recorder is given of the world: the clock, where records go, the two counters of arrival, the tally.

    `record_frames`: whether frames are recorded where an exchange's own settings do not say.
    """

    clock: Clock
    emit: Callable[[Record], None]
    next_seq: Callable[[], int]
    next_conn: Callable[[], int]
    tally: Tally
    record_frames: bool = False

    def write_gap(self, exchange: str, stream: Stream, gap: Gap, end_us: int, lost: int | None = None) -> None:
        """Hand on the row of a gap that ends; `lost` is how many records are known to be missing in it.

        One between two records of the same frame is a microsecond long: without a length it would cover nothing.
        """
        end_us = max(end_us, gap.start_us + 1)
        self.tally.gaps[exchange, gap.reason] += 1
        seq = self.next_seq()
        self.emit(
            GapRecord(exchange, stream.symbol, stream.channel, gap.start_us, end_us, gap.reason, lost, gap.detail, seq)
        )

    def write_absence(self, exchange: str, streams: Iterable[Stream], start: Start, at_us: int, detail: str) -> Start:
        """Hand on the rows of streams that have not begun since `start`. Returns: since when none tells of them."""
        if start.is_negligible(at_us):
            return start
        for stream in streams:
            self.write_gap(exchange, stream, Gap(start.since_us, start.reason, detail), at_us)
        return start._replace(since_us=at_us, is_first=False)
