"""One segment's way out of ready over processing into the archive. Which of them go it, and what stops one: `landing`.

Every move is of one name, may already have been made, and only goes forward where it cannot be made in one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fluxforge_assets.lake.paths import Lake, Segments
from fluxforge_assets.lake.swap import discard, new_directory
from fluxforge_collector.errors import DataError, MissingError
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import RawFormat, SegmentName, parse_segment_id
from fluxforge_collector.storage.bucket import LakePath, on_disk
from fluxforge_collector.storage.changes import for_each, move


class SegmentFile(NamedTuple):
    """A file of a segment."""

    channel: str
    form: RawFormat


def claim(paths: Segments, name: SegmentName) -> Manifest:
    """Take a segment out of ready: the manifest first, which makes it this run's, then its files."""
    move(paths.ready_manifest(name.id), paths.processing_manifest(name.id))
    manifest = read_manifest(paths.processing_manifest(name.id))
    if manifest.source != paths.source:
        raise DataError(f"the manifest is of source {manifest.source!r}, not {paths.source!r}", "move it to its source")
    for_each(paths.processing_dir, partial(_claim_file, paths, name), _files(manifest))
    return manifest


@contextmanager
def claimed_files(lake: Lake, paths: Segments, manifest: Manifest) -> Iterator[Path]:
    """Where the files of a claimed segment stand on a disk; those of a bucket are fetched for a while."""
    if isinstance(paths.processing_dir, Path):
        yield paths.processing_dir
        return
    near = new_directory(lake.work)
    try:
        for_each(
            paths.processing_dir, partial(_fetch_file, paths, parse_segment_id(manifest.id), near), _files(manifest)
        )
        yield near
    finally:
        discard(near)


def archive(paths: Segments, name: SegmentName, manifest: Manifest) -> None:
    """Put a claimed segment into the archive: its files, then the manifest, from which moment on it has landed."""
    for_each(paths.archive_dir, partial(_archive_file, paths, name), _files(manifest))
    move(paths.processing_manifest(name.id), paths.archive_manifest(name.date, name.id))


def drop_copy(paths: Segments, name: SegmentName) -> None:
    """Delete what stands twice: delivered again, or moved by a run that died before it deleted the old name.

    Raises: DataError where it is not what has landed.
    """
    landed = paths.archive_manifest(name.date, name.id)
    for manifest in (paths.ready_manifest(name.id), paths.processing_manifest(name.id)):
        if not manifest.is_file():
            continue
        if manifest.read_bytes() != landed.read_bytes():
            raise DataError(f"another segment {name.id} has landed before", "look at both, and delete the wrong one")
        for channel, entry in read_manifest(landed).channels.items():
            copy = manifest.parent / channel / str(entry.file)
            if paths.archive_file(channel, name.date, name.id, entry.form).is_file() and copy.is_file():
                copy.unlink()
        manifest.unlink()


def _claim_file(paths: Segments, name: SegmentName, file: SegmentFile) -> None:
    archived, claimed = paths.archive_file(file.channel, name.date, name.id, file.form), _claimed(paths, name, file)
    if not archived.is_file():
        move(paths.ready_file(file.channel, name.id, file.form), claimed)
    elif isinstance(archived, Path):
        # an earlier run died while landing it: its checks had passed, and are made again here. In a bucket it stays:
        # files that only ever go forward are not lost, even where two runs move them at once
        move(archived, claimed)


def _fetch_file(paths: Segments, name: SegmentName, near: Path, file: SegmentFile) -> None:
    """Bring a claimed file to a disk, from where it stands; the inspection says if it is nowhere."""
    for place in (_claimed(paths, name, file), paths.archive_file(file.channel, name.date, name.id, file.form)):
        with suppress(MissingError):
            on_disk(place, near / file.channel)
            return


def _archive_file(paths: Segments, name: SegmentName, file: SegmentFile) -> None:
    move(_claimed(paths, name, file), paths.archive_file(file.channel, name.date, name.id, file.form))


def _claimed(paths: Segments, name: SegmentName, file: SegmentFile) -> LakePath:
    return paths.processing_file(file.channel, name.id, file.form)


def _files(manifest: Manifest) -> list[SegmentFile]:
    return [SegmentFile(channel, entry.form) for channel, entry in manifest.channels.items() if entry.file is not None]
