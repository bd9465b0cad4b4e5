"""What a collector counts: plain numbers added to where things happen. What Prometheus calls them is `health`'s."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from enum import StrEnum

DURATION_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Outcome(StrEnum):
    """What became of a frame; each frame has exactly one."""

    STATES = "states"
    TRADES = "trades"
    TICKERS = "tickers"
    CONTROL = "control"  # acknowledgements, pongs, heartbeats
    BEFORE_SNAPSHOT = "before_snapshot"  # merged into the first state of a connection
    RESYNC = "resync"  # came while the book was being fetched anew, inside a gap
    STALE_UPDATE = "stale_update"  # older than the state already kept
    DUPLICATE = "duplicate"  # a trade already kept, or a whole message that came twice
    PAST = "past"  # trades from before a subscription: those missed are fetched again
    NOT_ASKED = "not_asked"
    BAD_FRAME = "bad_frame"
    AFTER_ERROR = "after_error"  # read from a connection that is given up, inside a gap
    AFTER_STOP = "after_stop"


class Durations:
    """How long something took, counted by upper bound in seconds; the last count is of what took longer."""

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(DURATION_BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    @property
    def total(self) -> int:
        """How many were counted."""
        return sum(self.counts)


class Tally:
    """The numbers of one collector; keys start with the exchange, of what is sealed with the source.

    `asked_us` is when each stream was first asked for, `last_us` its last record's capture time.
    """

    def __init__(self) -> None:
        self.frames: Counter[tuple[str, str]] = Counter()
        self.frame_bytes: Counter[str] = Counter()
        self.records: Counter[tuple[str, str]] = Counter()
        self.gaps: Counter[tuple[str, str]] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.backfilled: Counter[str] = Counter()
        self.backfills: Counter[tuple[str, str]] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.asked_us: dict[tuple[str, str, str], int] = {}
        self.last_us: dict[tuple[str, str, str], int] = {}
        self.lag_ms: dict[tuple[str, str], float] = {}
        self.refused: list[str] = []
        self.segments = 0
        self.sealed_rows: Counter[tuple[str, str]] = Counter()
        self.sealed_bytes: Counter[tuple[str, str]] = Counter()
        self.flushes = Durations()
        self.seals = Durations()
        self.storage_errors = 0
        self.sent_segments = 0
        self.sent_bytes = 0
        self.send_errors = 0
        self.why_not_sent: str | None = None
        self.queue_records = 0
        self.queue_bytes = 0
        self.queue_peak = 0
        self.queue_limit_records = 0
        self.queue_limit_bytes = 0

    def account(self) -> dict[str, dict[str, int]]:
        """Frames by exchange and outcome, `received` being their sum."""
        accounts: dict[str, dict[str, int]] = {}
        for (exchange, outcome), count in sorted(self.frames.items()):
            accounts.setdefault(exchange, {})[outcome] = count
        return {exchange: {"received": sum(of.values()), **of} for exchange, of in accounts.items()}
