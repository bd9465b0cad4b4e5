"""A look at the lake: segments waiting, what was quarantined, space on the disk. Nothing is judged here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import SourcePaths, segment_of_file


@dataclass(frozen=True, slots=True)
class Waiting:
    """Segments at one stage of a source: how many, and when the oldest began, microseconds since the epoch."""

    segments: int
    oldest_us: int | None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What a source has in quarantine: how many files, and when the last came, microseconds since the epoch."""

    files: int
    newest_us: int | None


@dataclass(frozen=True, slots=True)
class LakeState:
    """One look: `waiting` by source and stage (`ready`, `processing`), `quarantined` by source, bytes of the disk."""

    waiting: dict[tuple[str, str], Waiting]
    quarantined: dict[str, Quarantined]
    disk_free_bytes: int
    disk_size_bytes: int


def look(root: Path) -> LakeState:
    """Look at a lake. Raises: OSError where its root is not there, or cannot be listed."""
    disk = shutil.disk_usage(root)
    waiting: dict[tuple[str, str], Waiting] = {}
    quarantined: dict[str, Quarantined] = {}
    for source in sorted({directory.name for stage in _STAGES for directory in _directories(root / "raw" / stage)}):
        try:
            paths = SourcePaths(root, source)
        except DataError:
            continue
        for stage, directory in (("ready", paths.ready_dir), ("processing", paths.processing_dir)):
            waiting[source, stage] = _waiting(directory)
        quarantined[source] = _quarantined(paths.quarantine_dir)
    return LakeState(waiting, quarantined, disk.free, disk.total)


_STAGES = ("active", "ready", "processing", "quarantine")


def _directories(directory: Path) -> Iterator[Path]:
    return (entry for entry in directory.iterdir() if entry.is_dir()) if directory.is_dir() else iter(())


def _waiting(directory: Path) -> Waiting:
    starts = []
    for manifest in directory.glob("segment_*.json"):
        try:
            starts.append(segment_of_file(manifest.name).start_us)
        except DataError:
            continue
    return Waiting(len(starts), min(starts, default=None))


def _quarantined(directory: Path) -> Quarantined:
    times = []
    for reason in directory.glob("**/*.reason.json"):
        try:
            times.append(reason.stat().st_mtime_ns // 1000)
        except FileNotFoundError:
            continue
    return Quarantined(len(times), max(times, default=None))
