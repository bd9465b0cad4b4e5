"""What a collector counts: plain numbers added to where things happen, and their Prometheus form when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NowUs = Callable[[], int]
Values = Mapping[Any, float]


class Outcome(StrEnum):
    """What became of a frame; each frame has exactly one."""

    STATES = "states"
    TRADES = "trades"
    TICKERS = "tickers"
    CONTROL = "control"  # acknowledgements, pongs, heartbeats
    BEFORE_SNAPSHOT = "before_snapshot"  # merged into the first state of a connection
    RESYNC = "resync"  # came while the book was being fetched anew, inside a gap
    STALE_UPDATE = "stale_update"  # older than the state already kept
    DUPLICATE = "duplicate"  # a trade already kept
    NOT_ASKED = "not_asked"
    BAD_FRAME = "bad_frame"
    AFTER_ERROR = "after_error"  # read from a connection already given up, inside a gap
    AFTER_STOP = "after_stop"


class Tally:
    """The numbers of one collector; keys start with the exchange."""

    def __init__(self) -> None:
        self.frames: Counter[tuple[str, str]] = Counter()
        self.frame_bytes: Counter[str] = Counter()
        self.records: Counter[tuple[str, str]] = Counter()
        self.gaps: Counter[tuple[str, str]] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.reconnects: Counter[str] = Counter()
        self.last_us: dict[tuple[str, str, str], int] = {}
        self.lag_ms: dict[tuple[str, str], float] = {}
        self.refused: list[str] = []
        self.segments = 0
        self.flushes = 0
        self.flush_seconds = 0.0
        self.storage_errors = 0
        self.queue_records = 0
        self.queue_bytes = 0
        self.queue_peak = 0

    def account(self) -> dict[str, dict[str, int]]:
        """Frames by exchange and outcome, `received` being their sum."""
        accounts: dict[str, dict[str, int]] = {}
        for (exchange, outcome), count in sorted(self.frames.items()):
            accounts.setdefault(exchange, {})[outcome] = count
        return {exchange: {"received": sum(of.values()), **of} for exchange, of in accounts.items()}


class TallyMetrics(Collector):
    """The tally in Prometheus' form, made when it is asked for so that counting stays cheap.

    `now_us` is capture time, for the age of what was seen last.
    """

    def __init__(self, tally: Tally, now_us: NowUs) -> None:
        self._tally = tally
        self._now_us = now_us

    def collect(self) -> Iterator[Metric]:
        """Every metric of the collector."""
        tally = self._tally
        yield _counter("frames", "Frames received, by what became of them", ("exchange", "outcome"), tally.frames)
        yield _counter(
            "frame_bytes",
            "Characters of frames received",
            ("exchange",),
            {(k,): v for k, v in tally.frame_bytes.items()},
        )
        yield _counter("records", "Records made", ("exchange", "channel"), tally.records)
        yield _counter("gaps", "Gap rows written", ("exchange", "reason"), tally.gaps)
        yield _counter("lost_records", "Records lost to a full queue", ("exchange", "channel"), tally.lost)
        yield _counter(
            "reconnects", "Connections replaced", ("exchange",), {(k,): v for k, v in tally.reconnects.items()}
        )
        yield _counter("segments", "Segments sealed", (), {(): tally.segments})
        yield _counter("flushes", "Flushes to the journal", (), {(): tally.flushes})
        yield _counter("flush_seconds", "Time spent flushing", (), {(): tally.flush_seconds})
        yield _counter("storage_errors", "Writes the disk refused", (), {(): tally.storage_errors})
        yield _gauge("queue_records", "Records waiting to be written", (), {(): tally.queue_records})
        yield _gauge("queue_bytes", "Bytes waiting to be written, estimated", (), {(): tally.queue_bytes})
        yield _gauge("lag_seconds", "Capture time minus the exchange's time, last record", ("exchange", "channel"), {
            key: lag / 1000 for key, lag in tally.lag_ms.items()
        })  # fmt: skip
        now_us = self._now_us()
        yield _gauge("last_seen_age_seconds", "Age of a stream's last record", ("exchange", "symbol", "channel"), {
            key: (now_us - at_us) / 1e6 for key, at_us in tally.last_us.items()
        })  # fmt: skip


def _counter(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = CounterMetricFamily(f"fluxforge_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(f"fluxforge_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def registry_of(tally: Tally, now_us: NowUs) -> CollectorRegistry:
    """A registry that shows the tally."""
    registry = CollectorRegistry()
    registry.register(TallyMetrics(tally, now_us))
    return registry
