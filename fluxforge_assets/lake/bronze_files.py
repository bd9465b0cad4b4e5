"""Which files hold a channel's rows of a date: one per segment as landed, or those that compaction made of many.

A segment is Parquet or, in the legacy format, NDJSON. Where both stand, a conversion is under way or was broken off:
the Parquet file counts, verified before it got its name.

A compacted file `segments_{run}_{number}.parquet` names in its footer the segments it holds. It comes into its date's
folder, and their own files leave it, in one exchange of the folder: whoever lists it sees every row once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from fluxforge_assets.lake.replacing import files_of
from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import RawFormat, format_of, segment_of_file
from fluxforge_collector.storage.bucket import LakePath, readable, refusal

SEGMENTS = b"fluxforge.segments"
ATTEMPTS = 5
_COMPACTED = re.compile(r"segments_([0-9a-f]{12})_(\d{3,})\.parquet")


@dataclass(frozen=True)
class DayFiles:
    """A folder's files: segments with one of their own, and for each compaction its files and what they cover."""

    own: dict[str, LakePath]
    """The file of a segment, by the segment's id."""
    compacted: dict[str, tuple[LakePath, ...]]
    covered: dict[str, str]
    """The compaction that holds a segment, by the segment's id."""

    def all(self) -> list[LakePath]:
        """Every file, each row once."""
        return [*self.own.values(), *(path for paths in self.compacted.values() for path in paths)]


def list_files(folder: LakePath) -> DayFiles:
    """The files of a channel's date. Raises: DataError where a footer cannot be read."""
    for _ in range(ATTEMPTS):
        try:
            return _list(folder)
        except FileNotFoundError as error:  # the folder was exchanged between listing and opening
            last = error
    raise DataError(f"files of {folder} kept vanishing: {last}", "try again when no compaction is running")


def compacted_name(run: str, number: int) -> str:
    """The name of a compaction's file; `run` identifies its segments."""
    return f"segments_{run}_{number:03d}.parquet"


def _list(folder: LakePath) -> DayFiles:
    names = [path.name for path in files_of(folder)]
    own: dict[str, LakePath] = {}
    compacted: dict[str, list[tuple[int, LakePath]]] = {}
    covered: dict[str, str] = {}
    for name in names:
        match = _COMPACTED.fullmatch(name)
        if match:
            compacted.setdefault(match[1], []).append((int(match[2]), folder / name))
            covered |= dict.fromkeys(_covered(folder / name), match[1])
        elif name.startswith("segment_") and (segment := _segment_id(name)):
            is_better = format_of(name) is RawFormat.PARQUET
            own[segment] = folder / name if is_better else own.get(segment, folder / name)
    ordered = {run: tuple(path for _, path in sorted(files)) for run, files in compacted.items()}
    # a copy of a lake may hold a segment's own file still, beside the compacted one
    return DayFiles({segment: path for segment, path in own.items() if segment not in covered}, ordered, covered)


def _covered(path: LakePath) -> list[str]:
    try:
        covered: list[str] = json.loads((pq.read_metadata(readable(path)).metadata or {})[SEGMENTS])
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        if refused := refusal(error):
            raise refused from error
        raise DataError(f"bronze file {path} cannot be read: {error}", "restore it from a copy") from error
    return covered


def _segment_id(name: str) -> str | None:
    try:
        return segment_of_file(name).id if format_of(name) else None
    except DataError:
        return None
