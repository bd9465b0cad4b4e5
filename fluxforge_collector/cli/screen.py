"""The live table of `fluxforge collect`: the collector on one screen, 80 columns wide. Nothing is counted here."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.health.finding import duration
from fluxforge_collector.health.lake import LakeState
from fluxforge_collector.metrics import Tally

_COLUMNS = ("exchange", "books", "trades", "tickers", "gaps", "reconn", "lag", "quietest stream")
_CHANNELS = ("orderbook", "trades", "ticker")
_MIB = 1 << 20
_GIB = 1 << 30


def screen(tally: Tally, lake: LakeState | None, *, began_s: float, now_s: float) -> RenderableType:
    """A row per exchange, then queue, gaps, segments and disk; times are seconds since the epoch."""
    since = f"{datetime.fromtimestamp(began_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"collecting since {since}, {duration(now_s - began_s)}",
        _queue(tally),
        _gaps(tally),
        _segments(tally, lake),
        *(f"refused: {what}" for what in tally.refused),
    ]
    title, *rest = (Text(line, overflow="ellipsis", no_wrap=True) for line in lines)
    return Group(title, _exchanges(tally, now_s), *rest)


def _exchanges(tally: Tally, now_s: float) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in _COLUMNS:
        is_text = heading in {"exchange", "quietest stream"}
        # the last column gives way where the terminal is narrow
        head = Text(heading, no_wrap=True, overflow="ellipsis")
        shown.add_column(head, justify="left" if is_text else "right", no_wrap=heading != _COLUMNS[-1])
    exchanges = {stream[0] for stream in tally.asked_us} | {exchange for exchange, _ in tally.frames}
    for exchange in sorted(exchanges):
        lag_ms = tally.lag_ms.get((exchange, "orderbook"))
        shown.add_row(
            exchange,
            *(f"{tally.records[exchange, channel]:,}" for channel in _CHANNELS),
            f"{sum(count for (of, _), count in tally.gaps.items() if of == exchange):,}",
            f"{tally.reconnects[exchange]:,}",
            "" if lag_ms is None else f"{lag_ms:,.0f} ms",
            Text(_quietest(tally, exchange, now_s), no_wrap=True, overflow="ellipsis"),
        )
    return shown


def _quietest(tally: Tally, exchange: str, now_s: float) -> str:
    """The stream without a record for longest, and for how long."""
    since = {s: at_us for s, at_us in (tally.asked_us | tally.last_us).items() if s[0] == exchange}
    if not since:
        return ""
    stream = min(since, key=since.__getitem__)
    return f"{duration(now_s - since[stream] / 1e6)}: {stream[1]} {stream[2]}"


def _queue(tally: Tally) -> str:
    limit_mib = tally.queue_limit_bytes / _MIB
    return (
        f"queue     {tally.queue_records:,} of {tally.queue_limit_records:,} records, most {tally.queue_peak:,};"
        f" {tally.queue_bytes / _MIB:.1f} of {limit_mib:.0f} MiB"
    )


def _gaps(tally: Tally) -> str:
    reasons: Counter[str] = Counter()
    for (_, reason), count in tally.gaps.items():
        reasons[str(reason)] += count
    lost = f"; {counted(tally.lost.total(), 'record')} lost" if tally.lost else ""
    return f"gaps      {', '.join(f'{count:,} {reason}' for reason, count in reasons.most_common()) or 'none'}{lost}"


def _segments(tally: Tally, lake: LakeState | None) -> str:
    sealed = f"segments  {tally.segments:,} sealed"
    if lake is None:
        return sealed
    counts: Counter[str] = Counter()
    for (_, stage), waiting in lake.waiting.items():
        counts[stage] += waiting.segments
    quarantined = sum(state.files for state in lake.quarantined.values())
    stages = "".join(f", {counts[stage]:,} {stage}" for stage in ("ready", "processing"))
    return f"{sealed}{stages}, {quarantined:,} quarantined; disk {lake.disk_free_bytes / _GIB:,.1f} GiB free"
