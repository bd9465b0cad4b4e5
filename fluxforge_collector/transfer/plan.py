"""What a sync copies and in which order, from two listings alone; no store is asked here.

Closed files only: journals, claims under way, and names that begin with a dot or an underscore are passed over, and so
is a sealed file whose manifest has not come, and a folder whose files are being replaced. Manifests go last, as they do
when a segment is sealed.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from fluxforge_collector.storage import REPLACING, Entry

_SEGMENT = re.compile(r"raw/(ready|processing|archive|quarantine)/[^/]+/(?:[^/]+/)*segment_([^/.]+)\.(json|[a-z.]+)")
_IN_MOTION = ("raw/active/", "raw/processing/", "raw/uploaded/")
_PARTITION = re.compile(r"(processed/.*/date=\d{4}-\d{2}-\d{2})/[^/]+\.parquet")


class Filter(NamedTuple):
    """Patterns of keys, as the shell matches them, `*` also over `/`; without `include` everything is wanted."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wants(self, key: str) -> bool:
        """Whether a key is to be copied."""
        is_in = not self.include or any(fnmatch.fnmatchcase(key, pattern) for pattern in self.include)
        return is_in and not any(fnmatch.fnmatchcase(key, pattern) for pattern in self.exclude)


class Plan(NamedTuple):
    """What there is to do: files to compare or copy, then manifests, then superseded parts at the destination."""

    files: list[Entry]
    manifests: list[Entry]
    superseded: list[Entry]


def plan(source: Iterable[Entry], destination: Mapping[str, Entry], wanted: Filter) -> Plan:
    """What makes the destination hold what the source does."""
    listed = list(source)
    moving = {folder_of(key) for key in (*(e.key for e in listed), *destination) if key.endswith(f"/{REPLACING}")}
    entries = [entry for entry in listed if is_closed(entry.key) and folder_of(entry.key) not in moving]
    sealed = {match[2] for entry in entries if (match := _SEGMENT.fullmatch(entry.key)) and match[3] == "json"}
    moved_on = _moved_on(destination)
    files: list[Entry] = []
    manifests: list[Entry] = []
    for entry in sorted(entry for entry in entries if wanted.wants(entry.key)):
        match = _SEGMENT.fullmatch(entry.key)
        if match and match[1] == "ready" and (match[2] not in sealed or match[2] in moved_on):
            continue
        (manifests if match and match[3] == "json" else files).append(entry)
    return Plan(files, manifests, _superseded(entries, destination, wanted))


def is_closed(key: str) -> bool:
    """Whether what stands under a key will not change in place."""
    return not key.startswith(_IN_MOTION) and not any(part.startswith((".", "_")) for part in key.split("/"))


def folder_of(key: str) -> str:
    """The folder that an object stands in."""
    return key.rpartition("/")[0]


def segment_of(key: str) -> str | None:
    """The id of the segment a file is of; None for other files."""
    match = _SEGMENT.fullmatch(key)
    return match[2] if match else None


def _moved_on(destination: Collection[str]) -> set[str]:
    """Segments that the destination has claimed, landed or put away: sent again, they would only be dropped."""
    matches = (_SEGMENT.fullmatch(key) for key in destination)
    return {match[2] for match in matches if match and match[1] != "ready" and match[3] == "json"}


def _superseded(source: Collection[Entry], destination: Mapping[str, Entry], wanted: Filter) -> list[Entry]:
    """Parts at the destination, of partitions the source has, that the source has replaced: rows would be there twice.

    A partition the source no longer has at all is none of these, nor is anything raw.
    """
    there = {entry.key for entry in source}
    partitions = {match[1] for key in there if (match := _PARTITION.fullmatch(key))}
    return [
        entry
        for key, entry in sorted(destination.items())
        if (match := _PARTITION.fullmatch(key))
        and match[1] in partitions
        and key not in there
        and is_closed(key)
        and wanted.wants(key)
    ]
