"""Reading how far the demo has come, from the files of the lake alone. Nothing here starts or stops anything."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

KEY = ("exchange", "symbol", "date")


@dataclass(frozen=True)
class Status:
    """Counts of one moment; `newest_bar_us` per instrument is the end of its newest bar."""

    bronze_rows: int = 0
    gaps: int = 0
    segments: int = 0
    waiting: int = 0
    silver_rows: int = 0
    bar_rows: int = 0
    partitions: int = 0
    quarantined: int = 0
    newest_bar_us: dict[str, int] = field(default_factory=dict)
    oldest_bar_us: int | None = None

    def has_span(self, seconds: float) -> bool:
        """Whether every instrument's bars reach so far behind the first bar of all."""
        if self.oldest_bar_us is None:
            return False
        return min(self.newest_bar_us.values()) - self.oldest_bar_us >= seconds * 1e6

    @property
    def lag_seconds(self) -> float | None:
        """Age of the newest bar of the instrument that is furthest behind; None before the first bar."""
        if not self.newest_bar_us:
            return None
        return time.time() - min(self.newest_bar_us.values()) / 1e6


class Watch:
    """Counts a lake again and again, reading each file once."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._manifests: dict[str, tuple[int, int]] = {}
        self._parts: dict[Path, tuple[int, int, int]] = {}

    def read(self) -> Status:
        """The state of the lake now."""
        raw, processed = self._lake / "raw", self._lake / "processed"
        archived = list(raw.glob("archive/*/date=*/segment_*.json"))
        waiting = [*raw.glob("ready/*/segment_*.json"), *raw.glob("processing/*/segment_*.json")]
        counts = {path.name: self._rows_of_manifest(path) for path in (*archived, *waiting)}
        silver = list(processed.glob("*/orderbook/hf/exchange=*/symbol=*/date=*/part-*.parquet"))
        bars = list(processed.glob("*/orderbook/bars/exchange=*/symbol=*/date=*/part-*.parquet"))
        newest: dict[str, int] = {}
        oldest: int | None = None
        for path in bars:
            rows, first_us, last_us = self._rows_of_part(path)
            if rows:
                key = instrument_of(path)
                newest[key] = max(newest.get(key, 0), last_us)
                oldest = first_us if oldest is None else min(oldest, first_us)
        return Status(
            bronze_rows=sum(rows for rows, _ in counts.values()),
            gaps=sum(gaps for _, gaps in counts.values()),
            segments=len(counts),
            waiting=len(waiting),
            silver_rows=sum(self._rows_of_part(p)[0] for p in silver),
            bar_rows=sum(self._rows_of_part(p)[0] for p in bars),
            partitions=len({p.parent for p in (*silver, *bars)}),
            quarantined=sum(1 for _ in raw.glob("quarantine/*/**/*.reason.json")),
            newest_bar_us=newest,
            oldest_bar_us=oldest,
        )

    def _rows_of_manifest(self, path: Path) -> tuple[int, int]:
        """Rows and gap rows a manifest names."""
        if path.name not in self._manifests:
            try:
                channels = json.loads(path.read_bytes())["channels"]
            except (OSError, ValueError):
                return 0, 0  # moved between listing and reading; counted at its new place next time
            rows = {name: entry["rows"] for name, entry in channels.items()}
            gaps = rows.pop("gaps", 0)
            self._manifests[path.name] = sum(rows.values()), gaps
        return self._manifests[path.name]

    def _rows_of_part(self, path: Path) -> tuple[int, int, int]:
        """Rows of a part, its first and last `ts`, µs."""
        if path not in self._parts:
            try:
                metadata = pq.read_metadata(path)
            except (OSError, ValueError):
                return 0, 0, 0  # replaced between listing and reading
            names = metadata.schema.names
            groups = [metadata.row_group(i).column(names.index("ts")) for i in range(metadata.num_row_groups)]
            ranges = [(g.statistics.min, g.statistics.max) for g in groups if g.statistics]
            first, last = min((r[0] for r in ranges), default=0), max((r[1] for r in ranges), default=0)
            self._parts[path] = metadata.num_rows, first, last
        return self._parts[path]


def instrument_of(part: Path) -> str:
    """`exchange:symbol` of the partition a part lies in."""
    named = dict(piece.split("=", 1) for piece in part.parts if "=" in piece)
    return f"{named['exchange']}:{named['symbol']}"
