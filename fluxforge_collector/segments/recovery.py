"""Recovery: what a dead collector left becomes segments, exactly once. It may itself be killed anywhere and run again.

What it finds decides what it does, and every step leaves a state that it would find again:

- journals whose manifest stands anywhere: committed before the death; they go.
- journals without one: sealed as a segment. With a successor (the next segment's gaps journal names it) nothing is
  missing; without one a `crash` gap runs, per channel and instrument known to the dead collector, from its last record
  (or the segment's start) to now. "Known" is every instrument it had seen since it started, quiet ones included.
- files under temporary names: never published; they go.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import structlog

from fluxforge_collector.durable import storage_errors, sync_directory
from fluxforge_collector.errors import DataError, StorageError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.commit import CHANNELS, Ending, Header, discard_journals, quarantine, seal_segment
from fluxforge_collector.segments.lock import CollectorLock
from fluxforge_collector.segments.names import (
    RawFormat,
    SegmentName,
    SourcePaths,
    format_of_journal,
    segment_of_file,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fluxforge_collector.clock import Clock
    from fluxforge_collector.config.model import Ingestion
    from fluxforge_collector.segments.manifest import Manifest

_log = structlog.get_logger(__name__)


class _Orphan(NamedTuple):
    """A segment that has journals, and their format: that of the collector which died, whatever is configured now."""

    name: SegmentName
    form: RawFormat


def recover(root: Path, source: str, ingestion: Ingestion, clock: Clock) -> list[Manifest]:
    """Seal what dead collectors left under `raw/active`; those alive keep theirs.

    Returns: the manifests committed, oldest first.
    Raises: StorageError where a collector of this name lives, or the disk refuses; run it again then.
    """
    paths = SourcePaths(root, source)
    with ExitStack() as locks, storage_errors(f"recover {paths.active_dir}"):
        locks.enter_context(CollectorLock(paths, ingestion.collector))
        orphans = _orphans(paths)
        dead = {ingestion.collector}
        for collector in sorted({orphan.name.collector for orphan in orphans} - dead):
            try:
                locks.enter_context(CollectorLock(paths, collector))
            except StorageError:
                continue
            dead.add(collector)
        _remove_temporaries(paths, dead)
        mine = [orphan for orphan in orphans if orphan.name.collector in dead]
        return [m for orphan in mine if (m := _recover_segment(paths, orphan, mine, ingestion, clock)) is not None]


def _orphans(paths: SourcePaths) -> list[_Orphan]:
    """The segments that have journals, oldest first; a file of another name goes to quarantine."""
    orphans: set[_Orphan] = set()
    for journal in sorted(paths.active_dir.glob("*/*")):
        orphan = _orphan(journal)
        if orphan is None:
            quarantine(paths, "unknown", journal, "not the name of a journal")
            journal.unlink()
        else:
            orphans.add(orphan)
    return sorted(orphans, key=lambda orphan: (orphan.name.start_us, orphan.name.id))


def _orphan(journal: Path) -> _Orphan | None:
    try:
        name = segment_of_file(journal.name)
    except DataError:
        return None
    form = format_of_journal(journal.name)
    return _Orphan(name, form) if form is not None and journal.parent.name in CHANNELS else None


def _remove_temporaries(paths: SourcePaths, dead: set[str]) -> None:
    for file in sorted([*paths.ready_dir.glob(".segment_*.tmp"), *paths.ready_dir.glob("*/.segment_*.tmp")]):
        try:
            name = segment_of_file(file.name.removeprefix(".").removesuffix(".tmp"))
        except DataError:
            continue
        if name.collector in dead:
            file.unlink()
            sync_directory(file.parent)


def _recover_segment(
    paths: SourcePaths, orphan: _Orphan, orphans: list[_Orphan], ingestion: Ingestion, clock: Clock
) -> Manifest | None:
    """Bring one segment to its end: committed once, its journals gone."""
    manifest: Manifest | None = None
    segment_id, form = orphan.name.id, orphan.form
    header = Header.read(paths.journal(Channel.GAPS, segment_id, form))
    if not any(path.exists() for path in paths.manifests(segment_id)):
        pattern = f"*/segment_{segment_id}.{form.journal_suffix}"
        others = [journal for journal in paths.active_dir.glob(pattern) if journal.stat().st_size]
        if header is None and not others:
            _log.info("never begun", segment=segment_id)
        else:
            ending = _ending(paths, orphan, orphans, clock)
            manifest = seal_segment(paths, segment_id, form, header.known if header else {}, ending, ingestion)
            _log.warning("recovered", segment=segment_id, rows=manifest.rows, gaps=manifest.gaps)
    discard_journals(paths, segment_id, form)
    return manifest


def _ending(paths: SourcePaths, orphan: _Orphan, orphans: list[_Orphan], clock: Clock) -> Ending:
    for other in orphans:
        header = Header.read(paths.journal(Channel.GAPS, other.name.id, other.form))
        if header is not None and header.follows == orphan.name.id:
            return Ending(header.follows_to_us)
    return Ending(None, crash_until_us=clock.capture_us())
