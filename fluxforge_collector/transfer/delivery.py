"""Carrying sealed segments from the collector's disk into a lake's bucket, oldest first, and forgetting the copies.

Where a segment stands says what is done with it. In `raw/ready` it waits; its files are sent and verified, its manifest
last, and only then it moves to `raw/uploaded`, its manifest again last. So a delivery may die anywhere: the next one
finds the manifest in `ready`, and whether the lake has it already, wherever it has moved on to there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fluxforge_collector.config.model import Retention
from fluxforge_collector.durable import storage_errors
from fluxforge_collector.errors import DataError, MissingError
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import DAY_US, SegmentName, SourcePaths, date_of, newest_dates, segment_of_file
from fluxforge_collector.storage import Store
from fluxforge_collector.storage.changes import delete, move

_MIB = 1 << 20


class Waiting(NamedTuple):
    """A sealed segment that is still to be sent."""

    paths: SourcePaths
    name: SegmentName


class Sent(NamedTuple):
    """A segment that the bucket has, and the bytes that were sent for it."""

    name: SegmentName
    size: int


def waiting(landing: Path) -> list[Waiting]:
    """The segments of every source that are still to be sent, oldest first."""
    found = [
        Waiting(paths, name)
        for paths in _sources(landing, "ready")
        for file in paths.ready_dir.glob("segment_*.json")
        if (name := _name(file))
    ]
    return sorted(found, key=lambda one: (one.name.start_us, one.name.id))


def has_sent(landing: Path) -> bool:
    """Whether a segment was ever sent from here."""
    return any(True for _ in _sources(landing, "uploaded"))


def deliver(one: Waiting, store: Store, workers: int) -> Sent:
    """Send a segment and put it with those sent. Raises: StorageError, DataError; it may be called again."""
    paths, name = one
    manifest = read_manifest(paths.ready_manifest(name.id))
    size = 0
    if not _has(store, paths, name):
        size = _send(manifest, paths, store, workers)
    for channel, entry in manifest.channels.items():
        if entry.file is not None:
            sent = paths.uploaded_file(channel, name.date, name.id, entry.form)
            move(paths.ready_file(channel, name.id, entry.form), sent)
    move(paths.ready_manifest(name.id), paths.uploaded_manifest(name.date, name.id))
    return Sent(name, size)


def _send(manifest: Manifest, paths: SourcePaths, store: Store, workers: int) -> int:
    """Send every file, then the manifest; the bytes sent."""
    files = [
        paths.ready_file(channel, manifest.id, entry.form)
        for channel, entry in manifest.channels.items()
        if entry.file is not None
    ]
    with ThreadPoolExecutor(max(1, min(workers, len(files)))) as pool:
        list(pool.map(lambda file: store.send(file, _key(paths, file)), files))
    last = paths.ready_manifest(manifest.id)
    if not store.put_if_absent(_key(paths, last), last.read_bytes()):
        with suppress(MissingError):  # claimed since
            if store.get(_key(paths, last)) != last.read_bytes():
                raise DataError(f"the lake has another segment {manifest.id}", "look at both, and delete the wrong one")
    return sum(file.stat().st_size for file in (*files, last))


def _has(store: Store, paths: SourcePaths, name: SegmentName) -> bool:
    """Whether the lake has the segment: it may have landed while whoever sent it died."""
    there = (path for path in paths.manifests(name.id) if not path.is_relative_to(paths.uploaded_dir))
    return any(store.head(_key(paths, path)) is not None for path in there)


def _key(paths: SourcePaths, file: Path) -> str:
    return file.relative_to(paths.root).as_posix()


def forget(landing: Path, rules: Retention, *, now_s: float | None = None) -> int:
    """Delete copies of what the bucket has: those past their days, and more where the disk gets full; how many.

    The manifests of the newest two dates always stay: the next start reads from them since when nothing was collected.
    """
    now_us = round((time.time() if now_s is None else now_s) * 1e6)
    oldest = date_of(now_us - round((rules.keep_local_days or 0.0) * DAY_US))
    gone = 0
    for paths, date in _sent_dates(landing):
        if rules.keep_local_days is not None and date < oldest:
            gone += _delete(paths, date, now_us)
    for paths, date in _sent_dates(landing):
        if shutil.disk_usage(landing).free >= rules.min_free_mb * _MIB:
            break
        gone += _delete(paths, date, now_us)
    return gone


def _sent_dates(landing: Path) -> list[tuple[SourcePaths, str]]:
    """Dates with copies of what was sent, oldest first."""
    found = [
        (paths, folder.name.removeprefix("date="))
        for paths in _sources(landing, "uploaded")
        for folder in paths.uploaded_dir.glob("date=*")
    ]
    return sorted(found, key=lambda one: (one[1], one[0].source))


def _delete(paths: SourcePaths, date: str, now_us: int) -> int:
    """Delete a date's copies, files first; its manifests stay while it is one of the newest two."""
    files = sorted(paths.uploaded_dir.glob(f"*/date={date}/segment_*"))
    if paths.uploaded_dir / f"date={date}" not in newest_dates(paths.uploaded_dir, now_us):
        files += sorted(paths.uploaded_dir.glob(f"date={date}/segment_*.json"))
    for file in files:
        delete(file)
    for folder in (*paths.uploaded_dir.glob(f"*/date={date}"), paths.uploaded_dir / f"date={date}"):
        with suppress(OSError):
            folder.rmdir()
    return len(files)


def _sources(landing: Path, stage: str) -> Iterator[SourcePaths]:
    with storage_errors(f"list {landing}"):
        for folder in sorted((landing / "raw" / stage).glob("*/")):
            with suppress(DataError):
                yield SourcePaths(landing, folder.name)


def _name(file: Path) -> SegmentName | None:
    try:
        return segment_of_file(file.name)
    except DataError:
        return None
