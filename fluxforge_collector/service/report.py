"""The report of a run: what was counted, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from fluxforge_collector.metrics import Tally


@dataclass(frozen=True)
class CollectReport:
    """What a run of the collector did; `account` says what became of the frames of each exchange."""

    seconds: float
    frames: int
    records: dict[str, int]
    gaps: dict[str, int]
    segments: int
    reconnects: int
    lost: int
    refused: list[str]
    account: dict[str, dict[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def report_of(tally: Tally, seconds: float) -> CollectReport:
    """The report of what has been counted."""
    records: Counter[str] = Counter()
    for (_, channel), count in tally.records.items():
        records[str(channel)] += count
    gaps: Counter[str] = Counter()
    for (_, reason), count in tally.gaps.items():
        gaps[str(reason)] += count
    return CollectReport(
        seconds=round(seconds, 3),
        frames=tally.frames.total(),
        records=dict(records),
        gaps=dict(gaps),
        segments=tally.segments,
        reconnects=tally.reconnects.total(),
        lost=tally.lost.total(),
        refused=list(tally.refused),
        account=tally.account(),
    )
