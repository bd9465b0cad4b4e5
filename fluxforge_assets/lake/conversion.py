"""Converting legacy NDJSON segments into Parquet ones of the same id, rows proven the same before the old files go.

A segment's Parquet files are made out of sight, compared, and take their names; then the manifest names them instead;
then the NDJSON files go. Readers take the Parquet file where both stand. So a conversion may die anywhere: the next one
finds the NDJSON files that are left, and does again what was not finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fluxforge_assets.lake.landing import landing_lock
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.swap import discard, new_directory
from fluxforge_assets.lake.verification import ColumnDigests
from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.errors import DataError, FluxForgeError
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.columns import journal_schema
from fluxforge_collector.segments.manifest import (
    ChannelEntry,
    Manifest,
    read_manifest,
    verify_file,
    write_manifest,
)
from fluxforge_collector.segments.names import RawFormat, SegmentName, format_of, sealed_name, segment_of_file
from fluxforge_collector.segments.seal import seal_channel
from fluxforge_collector.segments.sealed import read_rows
from fluxforge_collector.storage.bucket import LakePath, matching, on_disk
from fluxforge_collector.storage.changes import delete, publish


@dataclass(frozen=True)
class Legacy:
    """A committed segment with NDJSON files: its manifest, and the file of each channel that has one."""

    source: str
    name: SegmentName
    manifest: LakePath
    files: dict[Channel, LakePath]
    size: int


@dataclass(frozen=True)
class Converted:
    """A segment whose NDJSON files have become Parquet ones."""

    source: str
    id: str
    files: int
    rows: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class NotConverted:
    """A segment that could not be converted; it is as it was."""

    source: str
    id: str
    error: FluxForgeError


def legacy_segments(lake: Lake, source: str) -> list[Legacy]:
    """A source's ready and archived segments that have NDJSON files, by time; those not committed yet are none."""
    paths = lake.segments(source)
    found: dict[LakePath, tuple[SegmentName, dict[Channel, LakePath]]] = {}
    for file in [*matching(paths.ready_dir, "*/*"), *matching(paths.archive_dir, "*/date=*/*")]:
        name = _legacy_name(file)
        is_ready = file.parent.parent == paths.ready_dir
        channel = file.parent.name if is_ready else file.parent.parent.name
        if name is None or channel not in set(Channel):
            continue
        manifest = paths.ready_manifest(name.id) if is_ready else paths.archive_manifest(name.date, name.id)
        found.setdefault(manifest, (name, {}))[1][Channel(channel)] = file
    return [
        one
        for manifest, (name, files) in sorted(found.items(), key=lambda item: (item[1][0].start_us, item[1][0].id))
        if (one := _legacy(source, name, manifest, files))
    ]


def _legacy(source: str, name: SegmentName, manifest: LakePath, files: dict[Channel, LakePath]) -> Legacy | None:
    """A segment as it stands; None where it is not committed yet, or was landed meanwhile."""
    with suppress(FileNotFoundError):
        if manifest.is_file():
            return Legacy(source, name, manifest, files, sum(file.stat().st_size for file in files.values()))
    return None


def convert(lake: Lake, segments: list[Legacy], ingestion: Ingestion) -> Iterator[Converted | NotConverted]:
    """Convert segments one by one; one that fails does not stop the rest. Landing waits for one segment at most."""
    for one in segments:
        try:
            with locked(lake, landing_lock(one.source)):
                # landed, compacted or converted meanwhile: what is elsewhere now is found by the next run
                if one.manifest.is_file() and all(file.is_file() for file in one.files.values()):
                    yield _convert(lake, one, ingestion)
        except FluxForgeError as error:
            yield NotConverted(one.source, one.name.id, error)


def _convert(lake: Lake, one: Legacy, ingestion: Ingestion) -> Converted:
    manifest = read_manifest(one.manifest)
    entries = dict(manifest.channels)
    for channel, file in one.files.items():
        if entries[channel].form is RawFormat.NDJSON:
            entries[channel] = _copy(lake, channel, file, entries[channel], ingestion)
    _commit(lake, one, manifest, entries)
    rows = sum(entries[channel].rows for channel in one.files)
    size = sum(entries[channel].bytes for channel in one.files)
    return Converted(one.source, one.name.id, len(one.files), rows, one.size, size)


def _copy(lake: Lake, channel: Channel, file: LakePath, entry: ChannelEntry, ingestion: Ingestion) -> ChannelEntry:
    """A Parquet file with the same rows beside an NDJSON one. Raises: DataError where they are not the same."""
    target = file.with_name(sealed_name(segment_of_file(file.name).id, RawFormat.PARQUET))
    made = new_directory(lake.work)
    try:
        near = on_disk(file, made)
        verify_file(near, entry)
        rows = read_rows(near, journal_schema(channel))
        copy = seal_channel(channel, rows, made / target.name, ingestion)
        is_same = (copy.rows, copy.instruments) == (entry.rows, entry.instruments)
        if not is_same or _digests(made / target.name, channel) != _digests(near, channel):
            raise DataError(f"the copy of {file} differs", "report this as a defect; nothing was changed")
        publish(made / target.name, target)
    finally:
        discard(made)
    return copy


def _digests(file: Path, channel: Channel) -> dict[str, str]:
    digests = ColumnDigests()
    for batch in read_rows(file, plain_schema(channel)):
        digests.update(pa.Table.from_batches([batch]))
    return digests.values()


def _commit(lake: Lake, one: Legacy, manifest: Manifest, entries: dict[str, ChannelEntry]) -> None:
    """Let the manifest name the Parquet files, then delete the others: by then nothing needs them."""
    if entries != manifest.channels:
        write_manifest(one.manifest, manifest.model_copy(update={"channels": entries}))
    made = new_directory(lake.work)
    try:
        for channel, file in one.files.items():
            verify_file(on_disk(file.with_name(entries[channel].file or ""), made / channel), entries[channel])
    finally:
        discard(made)
    for file in one.files.values():
        delete(file)


def _legacy_name(file: LakePath) -> SegmentName | None:
    if format_of(file.name) is not RawFormat.NDJSON:
        return None
    try:
        return segment_of_file(file.name)
    except DataError:
        return None
