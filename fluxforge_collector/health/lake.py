"""A look at the lake: segments waiting, what was quarantined, space on the disk. Nothing is judged here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import segment_of_file
from fluxforge_collector.storage.bucket import LakePath


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


def look(root: LakePath, local: Path) -> LakeState:
    """Look at a lake, and at the disk of the local directory that is written to.

    Raises: OSError or StorageError where either is not there, or cannot be listed.
    """
    disk = shutil.disk_usage(local)
    waiting: dict[tuple[str, str], Waiting] = {}
    quarantined: dict[str, Quarantined] = {}
    raw = root / "raw"
    for source in sorted({folder.name for stage in _STAGES for folder in _folders(raw / stage)}):
        for stage in ("ready", "processing"):
            waiting[source, stage] = _waiting(raw / stage / source)
        quarantined[source] = _quarantined(raw / "quarantine" / source)
    return LakeState(waiting, quarantined, disk.free, disk.total)


_STAGES = ("active", "ready", "processing", "quarantine")


def _folders(parent: LakePath) -> list[LakePath]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []


def _waiting(folder: LakePath) -> Waiting:
    starts = []
    for manifest in folder.glob("segment_*.json"):
        try:
            starts.append(segment_of_file(manifest.name).start_us)
        except DataError:
            continue
    return Waiting(len(starts), min(starts, default=None))


def _quarantined(folder: LakePath) -> Quarantined:
    times = []
    for reason in [*folder.glob("*.reason.json"), *folder.glob("*/*.reason.json")]:
        try:
            times.append(round(reason.stat().st_mtime * 1e6))
        except FileNotFoundError:
            continue
    return Quarantined(len(times), max(times, default=None))
