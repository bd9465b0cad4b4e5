"""Landing: sealed segments go from ready over processing into the archive, or into quarantine with the reason.

The manifest moves first when a segment is claimed and last when it lands, so wherever a run dies the next one finds
the manifest in `processing` and goes on from there. Every move is of one name and may already have been made. In a
bucket a few segments are claimed at a time, for most of it is waiting for answers; they land in their order.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable, Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fluxforge_assets.lake.claim import archive, claim, claimed_files, drop_copy
from fluxforge_assets.lake.inspection import inspect_segment
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import mark
from fluxforge_assets.lake.paths import Lake, Segments
from fluxforge_assets.lake.tries import count_failure, forget, segment_name
from fluxforge_collector.durable import make_directory
from fluxforge_collector.errors import DamagedError, DataError, FluxForgeError, StorageError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import SegmentName, date_of, format_of, parse_segment_id, segment_of_file
from fluxforge_collector.storage.bucket import LakePath, matching
from fluxforge_collector.storage.changes import AT_ONCE, move, write

Take = Callable[[SegmentName], Manifest | None]
Taken = Callable[[], Manifest | None]
ORPHAN_SECONDS = 900.0
"""How long a sealed file may wait for its manifest: sealing a segment takes seconds."""
SENT_ORPHAN_SECONDS = 7 * 86_400.0
"""The same in a bucket: the network may go before the manifest is sent, and then every file is sent again."""


@dataclass
class Landed:
    """What a landing did: the segments now archived, and by name why others went to quarantine or failed this time."""

    manifests: list[Manifest] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def landing_lock(source: str) -> str:
    """The lock of whoever moves files into, out of or within a source's archive."""
    return f"landing-{source}"


def waiting(lake: Lake, source: str) -> list[SegmentName]:
    """Segments of a source that are ready or claimed, by time."""
    paths = lake.segments(source)
    found = {
        name.id: name
        for folder in (paths.ready_dir, paths.processing_dir)
        for path in folder.glob("segment_*.json")
        if (name := _name(path))
    }
    return sorted(found.values(), key=lambda name: (name.start_us, name.id))


def dates_waiting(lake: Lake, today: str) -> set[str]:
    """Dates of waiting segments; one that has not begun, by a clock that is ahead, waits until it has."""
    return {n.date for source in lake.sources() for n in waiting(lake, source) if n.date <= today}


def land(
    lake: Lake,
    source: str,
    dates: Collection[str] | None = None,
    *,
    max_tries: int = 5,
    inspect: Callable[[Manifest, Path], None] = inspect_segment,
) -> Landed:
    """Land every waiting segment of these dates (all dates without them), and sweep what is no segment.

    One landing runs at a time; a second one waits, and finds what the first left. A bad segment never stops the rest:
    one that breaks its contract goes to quarantine, one that fails otherwise does so after `max_tries`.

    Raises: StorageError where the disk refuses; no segment is to blame for that.
    """
    done = Landed()
    paths = lake.segments(source)
    with locked(lake, landing_lock(source)):
        due = [name for name in waiting(lake, source) if dates is None or name.date in dates]
        with closing(_begun(lake, partial(_take, lake, paths, inspect), due)) as begun:
            for name, taken in begun:
                _land_one(lake, paths, name, taken, done, max_tries)
        _sweep(lake, paths, done)
    return done


def _begun(lake: Lake, take: Take, due: list[SegmentName]) -> Generator[tuple[SegmentName, Taken], None, None]:
    """The segments in their order, each with what tells its outcome; in a bucket the next ones are taken meanwhile."""
    if isinstance(lake.root, Path):
        yield from ((name, partial(take, name)) for name in due)
        return
    pool = ThreadPoolExecutor(max(1, lake.root.store.settings.workers // AT_ONCE))
    try:
        yield from [(name, pool.submit(take, name).result) for name in due]
    finally:
        pool.shutdown(cancel_futures=True)


def _take(lake: Lake, paths: Segments, inspect: Callable[[Manifest, Path], None], name: SegmentName) -> Manifest | None:
    """Claim a segment and judge it; None where it has landed before, and only its copy was to go."""
    if paths.archive_manifest(name.date, name.id).is_file():
        drop_copy(paths, name)
        return None
    manifest = claim(paths, name)
    with claimed_files(lake, paths, manifest) as directory:
        inspect(manifest, directory)
    return manifest


def _land_one(lake: Lake, paths: Segments, name: SegmentName, taken: Taken, done: Landed, max_tries: int) -> None:
    try:
        manifest = taken()
        if manifest is None:
            return
    except FluxForgeError as error:
        if isinstance(error, StorageError) and not isinstance(error, DamagedError):
            raise
        if isinstance(error.__cause__, OSError) and error.__cause__.errno not in {None, errno.ENOENT}:
            # the disk refused, or a limit of the process: the next time it may not
            _fail(lake, paths, name, done, max_tries, str(error))
            return
        _quarantine_segment(paths, name, str(error))
        done.quarantined[name.id] = str(error)
        return
    except Exception as error:  # noqa: BLE001  whatever goes wrong with one segment must not stop the others
        _fail(lake, paths, name, done, max_tries, f"{type(error).__name__}: {error}")
        return
    for date in _dates(manifest):
        mark(lake, paths.source, date)
    archive(paths, name, manifest)
    forget(lake, paths.source, name.date, segment_name(name.id))
    done.manifests.append(manifest)


def _fail(lake: Lake, paths: Segments, name: SegmentName, done: Landed, max_tries: int, why: str) -> None:
    """Count a failure; the last one sends the segment to quarantine."""
    count = count_failure(lake, paths.source, name.date, segment_name(name.id), why)
    if count < max_tries:
        done.failed[name.id] = why
        return
    reason = f"{why} ({count} tries)"
    _quarantine_segment(paths, name, reason)
    forget(lake, paths.source, name.date, segment_name(name.id))
    done.quarantined[name.id] = reason


def withdraw(lake: Lake, source: str, segment: str, reason: str) -> None:
    """Take a landed segment out of the archive into quarantine, its manifest first: from then on it is a hole."""
    paths, name = lake.segments(source), parse_segment_id(segment)
    with locked(lake, landing_lock(source)):
        landed = paths.archive_manifest(name.date, name.id)
        if not landed.is_file():
            return
        manifest = read_manifest(landed)
        quarantine(landed, paths.quarantine_dir / landed.name, reason)
        for channel, entry in manifest.channels.items():
            file = paths.archive_file(channel, name.date, name.id, entry.form)
            if file.is_file():
                quarantine(file, paths.quarantine_dir / channel / file.name, reason)
        mark(lake, source, name.date)


def _dates(manifest: Manifest) -> set[str]:
    """The segment's date, and an earlier one where it brings late rows of it."""
    entries = (
        entry
        for channel, known in manifest.channels.items()
        if channel != Channel.GAPS
        for entry in known.instruments.values()
    )
    return {manifest.date, *(date_of(entry.first_us) for entry in entries)}


def _quarantine_segment(paths: Segments, name: SegmentName, reason: str) -> None:
    """Put away a segment's files, then its manifest; not those of another one of its name that has landed."""
    found = [
        f for folder in (paths.ready_dir, paths.processing_dir) for f in matching(folder, f"*/segment_{name.id}.*")
    ]
    if not paths.archive_manifest(name.date, name.id).is_file():
        found += matching(paths.archive_dir, f"*/date={name.date}/segment_{name.id}.*")
    for file in (f for f in found if format_of(f.name)):
        channel = file.parent.parent if file.parent.name.startswith("date=") else file.parent
        quarantine(file, paths.quarantine_dir / channel.name / file.name, reason)
    for manifest in (paths.ready_manifest(name.id), paths.processing_manifest(name.id)):
        if manifest.is_file():
            quarantine(manifest, paths.quarantine_dir / manifest.name, reason)


def quarantine(file: LakePath, target: LakePath, reason: str) -> None:
    """Move a file aside, its reason written first; the first reason stands, and nothing is overwritten."""
    note = target.with_name(f"{target.name}.reason.json")
    if not note.is_file():
        text = json.dumps({"file": str(file), "reason": reason, "at": time.strftime("%FT%TZ", time.gmtime())})
        write(note, text.encode())
    number = 0
    while target.exists():
        number += 1
        target = target.with_name(f"{note.name.removesuffix('.reason.json')}.{number}")
    if isinstance(file, Path) and isinstance(target, Path) and file.is_dir():
        make_directory(target.parent)
        shutil.move(file, target)
    else:
        move(file, target)


def _sweep(lake: Lake, paths: Segments, done: Landed) -> None:
    """Quarantine what lies in ready and is no segment: foreign names, and files whose manifest never came."""
    for path in matching(lake.raw / "ready", "*"):
        if path.is_file() and not path.name.startswith("."):
            reason = "a file directly in ready belongs to no source"
            quarantine(path, lake.raw / "quarantine" / path.name, reason)
            done.quarantined[path.name] = reason
    for path in [*matching(paths.ready_dir, "*"), *matching(paths.ready_dir, "*/*")]:
        if fault := _foreign(path, paths):
            quarantine(path, paths.quarantine_dir / str(path).removeprefix(f"{paths.ready_dir}/"), fault)
            done.quarantined[path.name] = fault


def _foreign(path: LakePath, paths: Segments) -> str | None:
    """Why a name in ready is no part of a segment; None where it is, or still may become one."""
    is_channel_file = path.parent != paths.ready_dir
    if path.name.startswith(".") or (path.is_dir() and not is_channel_file):
        return None
    name = _name(path)
    is_right = format_of(path.name) is not None if is_channel_file else path.suffix == ".json"
    if name is None or path.is_dir() or not is_right:
        return "this is no file of a segment"
    if not is_channel_file or paths.ready_manifest(name.id).is_file():
        return None
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    longest = ORPHAN_SECONDS if isinstance(path, Path) else SENT_ORPHAN_SECONDS
    return f"its manifest did not come within {longest:.0f} s" if age > longest else None


def _name(path: LakePath) -> SegmentName | None:
    try:
        return segment_of_file(path.name)
    except DataError:
        return None
