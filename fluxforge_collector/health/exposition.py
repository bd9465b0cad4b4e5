"""The metrics: each declared once with its name, kind, labels and meaning; `/metrics` and the reference page follow.

Values are read from the tally when they are asked for, so that counting stays cheap.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate, product
from typing import Any, Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fluxforge_collector import __version__
from fluxforge_collector.health.lake import LakeState
from fluxforge_collector.metrics import DURATION_BOUNDS_S, Durations, Tally
from fluxforge_collector.records import Channel, GapReason

PREFIX = "fluxforge_"
STREAM = ("exchange", "symbol", "channel")
BRONZE_CHANNELS = (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER)


@dataclass(slots=True)
class Seen:
    """What the metrics are read from: the tally, the last look at the lake, and how the collector itself fares."""

    tally: Tally
    now_us: Callable[[], int]
    lake: LakeState | None = None
    beat_us: int | None = None
    loop_delay_s: float = 0.0
    why_not_ready: Callable[[], list[str]] = list


Values = Mapping[Any, float]


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric without its prefix; `read` gives its values by labels, of a histogram its durations."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...]
    read: Callable[[Seen], Values | Durations]

    @property
    def exported(self) -> str:
        """The name as Prometheus stores it."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


def _from_zero(seen: Seen, counted: Values, second: Iterable[str]) -> Values:
    """Counts by exchange and something else, with a zero for what has not happened yet: a rate needs it."""
    exchanges = {exchange for exchange, _, _ in seen.tally.asked_us}
    return dict.fromkeys(product(sorted(exchanges), second), 0) | dict(counted)


def _reconnects(seen: Seen) -> Values:
    reconnects = seen.tally.reconnects
    exchanges = {exchange for exchange, _, _ in seen.tally.asked_us} | reconnects.keys()
    return {(exchange,): reconnects[exchange] for exchange in sorted(exchanges)}


def _ages(seen: Seen) -> Values:
    now_us, tally = seen.now_us(), seen.tally
    since = tally.asked_us | tally.last_us
    return {stream: (now_us - at_us) / 1e6 for stream, at_us in since.items()}


def _waiting(seen: Seen) -> Values:
    return {key: state.segments for key, state in seen.lake.waiting.items()} if seen.lake else {}


def _waiting_age(seen: Seen) -> Values:
    waiting, now_us = (seen.lake.waiting if seen.lake else {}), seen.now_us()
    return {key: (now_us - (state.oldest_us or now_us)) / 1e6 for key, state in waiting.items()}


def _quarantined(seen: Seen) -> Values:
    return {(source,): state.files for source, state in seen.lake.quarantined.items()} if seen.lake else {}


def _build(_: Seen) -> Values:
    return {(__version__, version("ccxt"), platform.python_version()): 1}


METRICS = (
    Declared("frames", "counter", "Frames received, by what became of them.", ("exchange", "outcome"),
             lambda s: s.tally.frames),
    Declared("frame_bytes", "counter", "Characters of frames received; bytes, as frames are ASCII.", ("exchange",),
             lambda s: {(k,): v for k, v in s.tally.frame_bytes.items()}),
    Declared("records", "counter", "Records made.", ("exchange", "channel"), lambda s: s.tally.records),
    Declared("gaps", "counter", "Gap rows written.", ("exchange", "reason"),
             lambda s: _from_zero(s, s.tally.gaps, GapReason)),
    Declared("lost_records", "counter", "Records given up by a full queue; a gap row tells of each.",
             ("exchange", "channel"), lambda s: _from_zero(s, s.tally.lost, BRONZE_CHANNELS)),
    Declared("backfilled_trades", "counter", "Trades fetched again after a gap.", ("exchange",),
             lambda s: {(k,): v for k, v in s.tally.backfilled.items()}),
    Declared("backfills", "counter", "Gaps of trades fetched again: whole or partly.", ("exchange", "outcome"),
             lambda s: s.tally.backfills),
    Declared("reconnects", "counter", "Connections replaced.", ("exchange",),
             _reconnects),
    Declared("refused", "gauge", "Exchanges, channels and symbols that can never be had as configured.", (),
             lambda s: {(): len(s.tally.refused)}),
    Declared("lag_seconds", "gauge", "Capture time minus the exchange's time, of the last record.",
             ("exchange", "channel"), lambda s: {key: lag / 1000 for key, lag in s.tally.lag_ms.items()}),
    Declared("last_seen_age_seconds", "gauge", "Age of a stream's last record, or since it was asked for.",
             STREAM, _ages),
    Declared("queue_records", "gauge", "Records waiting to be written.", (), lambda s: {(): s.tally.queue_records}),
    Declared("queue_bytes", "gauge", "Bytes waiting to be written, estimated.", (),
             lambda s: {(): s.tally.queue_bytes}),
    Declared("queue_peak_records", "gauge", "Most records that ever waited.", (), lambda s: {(): s.tally.queue_peak}),
    Declared("queue_limit_records", "gauge", "Records the queue holds.", (),
             lambda s: {(): s.tally.queue_limit_records}),
    Declared("queue_limit_bytes", "gauge", "Bytes the queue holds.", (), lambda s: {(): s.tally.queue_limit_bytes}),
    Declared("flush_seconds", "histogram", "Time a flush to the journal took.", (), lambda s: s.tally.flushes),
    Declared("seal_seconds", "histogram", "Time sealing a segment took.", (), lambda s: s.tally.seals),
    Declared("storage_errors", "counter", "Writes the disk refused.", (), lambda s: {(): s.tally.storage_errors}),
    Declared("sealed_segments", "counter", "Segments sealed.", (), lambda s: {(): s.tally.segments}),
    Declared("sealed_rows", "counter", "Rows of sealed segments.", ("source", "channel"),
             lambda s: s.tally.sealed_rows),
    Declared("sealed_bytes", "counter", "Bytes of sealed segments.", ("source", "channel"),
             lambda s: s.tally.sealed_bytes),
    Declared("sent_segments", "counter", "Segments sent to the bucket, verified.", (),
             lambda s: {(): s.tally.sent_segments}),
    Declared("sent_bytes", "counter", "Bytes of segments sent to the bucket.", (), lambda s: {(): s.tally.sent_bytes}),
    Declared("send_errors", "counter", "Times the bucket could not be reached, or refused.", (),
             lambda s: {(): s.tally.send_errors}),
    Declared("sending", "gauge", "0 while segments cannot be sent to the bucket, else 1.", (),
             lambda s: {(): float(s.tally.why_not_sent is None)}),
    Declared("segments_waiting", "gauge",
             "Segments nobody has claimed or sent (ready), or a run has claimed (processing).",
             ("source", "stage"), _waiting),
    Declared("segments_waiting_age_seconds", "gauge", "Time since the oldest waiting segment began; 0 without one.",
             ("source", "stage"), _waiting_age),
    Declared("quarantined_files", "gauge", "Files put aside because they could not be used.", ("source",),
             _quarantined),
    Declared("disk_free_bytes", "gauge", "Space left on the lake's disk.", (),
             lambda s: {(): s.lake.disk_free_bytes} if s.lake else {}),
    Declared("disk_size_bytes", "gauge", "Size of the lake's disk.", (),
             lambda s: {(): s.lake.disk_size_bytes} if s.lake else {}),
    Declared("ready", "gauge", "1 where /readyz says so, else 0.", (), lambda s: {(): float(not s.why_not_ready())}),
    Declared("event_loop_delay_seconds", "gauge", "How late the event loop came to the last sign of life.", (),
             lambda s: {(): s.loop_delay_s}),
    Declared("heartbeat_timestamp_seconds", "gauge", "When the last sign of life was left.", (),
             lambda s: {(): s.beat_us / 1e6} if s.beat_us else {}),
    Declared("build_info", "gauge", "1, with the versions that run.", ("version", "ccxt", "python"), _build),
)  # fmt: skip

PROCESS_METRICS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""What prometheus-client itself tells of the process."""


def exported_names() -> frozenset[str]:
    """Every name a query may use: a histogram has three."""
    names = set(PROCESS_METRICS)
    for metric in METRICS:
        ends = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        names |= {f"{metric.exported}{end}" for end in ends}
    return frozenset(names)


def page() -> str:
    """The reference page of metrics."""
    rows = [f"| `{m.exported}` | {m.kind} | {', '.join(f'`{of}`' for of in m.labels)} | {m.text} |" for m in METRICS]
    process = ", ".join(f"`{name}`" for name in PROCESS_METRICS)
    return "\n".join([
        "# Metrics", "", "Written by `make docs` from `fluxforge_collector/health/exposition.py`.", "",
        "`fluxforge collect` serves them at `http://{metrics.host}:{metrics.port}/metrics`. Histograms have `_bucket`,",
        "`_sum` and `_count`.", "", "| metric | kind | labels | meaning |", "|---|---|---|---|", *rows, "",
        f"Of the process, by prometheus-client: {process}.",
    ])  # fmt: skip


class SeenMetrics(Collector):
    """The declared metrics of one collector, made when they are asked for."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """Every declared metric with its values now."""
        return (_family(metric, metric.read(self._seen)) for metric in METRICS)


def _family(metric: Declared, values: Values | Durations) -> Metric:
    name = f"{PREFIX}{metric.name}"
    if isinstance(values, Durations):
        bounds = [*(str(bound) for bound in DURATION_BOUNDS_S), "+Inf"]
        buckets = list(zip(bounds, accumulate(values.counts), strict=True))
        return HistogramMetricFamily(name, metric.text, buckets=buckets, sum_value=values.sum_s)
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.text, labels=metric.labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def registry_of(seen: Seen) -> CollectorRegistry:
    """A registry that shows a collector, and what the system knows of its process."""
    registry = CollectorRegistry()
    registry.register(SeenMetrics(seen))
    ProcessCollector(registry=registry)
    return registry
