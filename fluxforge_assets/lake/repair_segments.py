"""Faults of raw files: claims nobody finished, files in the wrong place, segments without their manifest or files."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.inspection import runs_of
from fluxforge_assets.lake.landing import ORPHAN_SECONDS, land, landing_lock, quarantine, waiting
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import mark
from fluxforge_assets.lake.paths import Lake, Segments
from fluxforge_assets.lake.repair import Dates, Fault, set_aside
from fluxforge_assets.lake.replacing import NOTE, finish
from fluxforge_assets.lake.swap import discard, new_directory
from fluxforge_collector.errors import DataError, FluxForgeError
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.manifest import (
    ChannelEntry,
    InstrumentEntry,
    Manifest,
    checksum_file,
    write_manifest,
)
from fluxforge_collector.segments.names import DAY_US, SegmentName, format_of, segment_of_file
from fluxforge_collector.segments.sealed import read_table
from fluxforge_collector.storage.bucket import LakePath, matching, on_disk
from fluxforge_collector.storage.changes import move

_CHANNELS = tuple(channel.value for channel in Channel)


def segment_faults(lake: Lake, source: str, dates: Dates) -> Iterator[Fault]:
    """What is wrong with the raw files of a source."""
    yield from _claims(lake, source, dates)
    yield from _archived(lake, source, dates)


def _claims(lake: Lake, source: str, dates: Dates) -> Iterator[Fault]:
    """Segments claimed long ago, and files in `processing` that belong to none."""
    paths = lake.segments(source)
    claimed = {file.name.removesuffix(".json"): file for file in matching(paths.processing_dir, "segment_*.json")}
    for manifest in claimed.values():
        name = _name(manifest)
        if name and dates.has(name.date) and _age_s(manifest) > ORPHAN_SECONDS:
            yield Fault(
                "claim", manifest, "claimed, and never landed", "land it", partial(_land, lake, source, name.date)
            )
    files = matching(paths.processing_dir, "*/*")  # before what waits: one that lands in between is gone from here
    known = _waiting_ids(lake, source)
    for file in files:
        name = _name(file)
        if (name is None or (name.id not in known and dates.has(name.date))) and _is_still_there(file):
            yield _stray(lake, paths, file, name)


def _stray(lake: Lake, paths: Segments, file: LakePath, name: SegmentName | None) -> Fault:
    """A file in `processing` without a claim."""
    at_rest = partial(_at_rest, lake, paths.source, file)
    target = paths.archive_dir / file.parent.name / f"date={name.date}" / file.name if name else None
    if name and target and paths.archive_manifest(name.date, name.id).is_file() and not target.is_file():
        remedy = partial(at_rest, partial(move, file, target))
        return Fault("claim", file, "its segment has landed without it", "put it with its segment", remedy)
    if target and target.is_file() and _same(lake, file, target):
        remedy = partial(at_rest, partial(set_aside, lake, file))
        return Fault("claim", file, "a copy of what has landed", "move it aside", remedy)
    reason = "found in processing, of no segment"
    aside = paths.quarantine_dir / file.parent.name / file.name
    return Fault(
        "claim", file, reason, "put it in quarantine", partial(at_rest, partial(quarantine, file, aside, reason))
    )


def _archived(lake: Lake, source: str, dates: Dates) -> Iterator[Fault]:
    """Landed files in the wrong place, those of no manifest, manifests whose files are nowhere, open replacements."""
    paths = lake.segments(source)
    archive = Archive(lake, source)
    found: dict[SegmentName, dict[str, LakePath]] = defaultdict(dict)
    for channel in _CHANNELS:
        for file in matching(paths.archive_dir, f"{channel}/date=*/*"):
            date = file.parent.name.removeprefix("date=")
            if not dates.has(date):
                continue
            if file.name == NOTE:
                remedy = partial(_finish, lake, source, file.parent)
                yield Fault("replacement", file, "a replacement that was broken off", "finish or undo it", remedy)
            name = _name(file)
            if name is None:
                continue
            if name.date != date:
                yield _misplaced(lake, source, file, file.parent.parent / f"date={name.date}" / file.name)
            else:
                found[name][channel] = file
    for name, files in sorted(found.items(), key=lambda item: item[0].id):
        if not paths.archive_manifest(name.date, name.id).is_file() and name.id not in _waiting_ids(lake, source):
            problem = "its manifest is missing"
            remedy = partial(_write_manifest, lake, paths, name, files)
            yield Fault("manifest", next(iter(files.values())), problem, "write it anew from the rows", remedy)
    for date in filter(dates.has, archive.dates()):
        yield from _lacking(archive, paths, date)


def _misplaced(lake: Lake, source: str, file: LakePath, target: LakePath) -> Fault:
    """A file under another date than its own."""
    problem, at_rest = f"it belongs under {target.parent.name}", partial(_at_rest, lake, source, file)
    if not target.is_file():
        return Fault("misplaced", file, problem, "move it there", partial(at_rest, partial(move, file, target)))
    remedy = partial(at_rest, partial(set_aside, lake, file))
    return Fault("misplaced", file, f"{problem}, where one stands", "move it aside", remedy)


def _lacking(archive: Archive, paths: Segments, date: str) -> Iterator[Fault]:
    """Segments of a date whose manifest names files that are nowhere; a channel without any was deleted by a rule."""
    for channel in _CHANNELS:
        try:
            files = archive.files(channel, date)
            here = {*files.own, *files.covered}
            for name in archive.names(date) if here else ():
                entry = archive.manifest(name).channels.get(channel)
                if entry and entry.file and name.id not in here:
                    file = paths.archive_file(channel, date, name.id, entry.form)
                    yield Fault("lost", file, "its manifest names it, and it is not there", "restore it from a copy")
        except FluxForgeError as error:
            folder = paths.archive_dir / channel / f"date={date}"
            yield Fault("unreadable", folder, error.message, error.remedy)


def _write_manifest(lake: Lake, paths: Segments, name: SegmentName, files: dict[str, LakePath]) -> None:
    """A manifest from what the files hold. It ends with the last row: what came after, if anything, shows as a hole."""
    made = new_directory(lake.work)
    try:
        entries = {c: _entry(c, f, on_disk(f, made / c)) for c, f in files.items()}
    finally:
        discard(made)
    last = chain.from_iterable(e.instruments.values() for c, e in entries.items() if c != Channel.GAPS)
    midnight = (name.start_us // DAY_US + 1) * DAY_US
    manifest = Manifest(
        id=name.id,
        source=paths.source,
        collector=name.collector,
        from_us=name.start_us,
        to_us=min(max((i.last_us for i in last), default=name.start_us) + 1, midnight),
        channels=entries,
        gaps=entries[Channel.GAPS].rows if Channel.GAPS in entries else 0,
    )
    with locked(lake, landing_lock(paths.source)):
        if paths.archive_manifest(name.date, name.id).is_file():  # a landing was just about to put it there
            return
        mark(lake, paths.source, name.date)  # and again below: a death, or a run, may come between
        write_manifest(paths.archive_manifest(name.date, name.id), manifest)
        mark(lake, paths.source, name.date)


def _entry(channel: str, file: LakePath, near: Path) -> ChannelEntry:
    """What a manifest says of a file. Raises: DataError where it cannot be read."""
    time_name = "gap_start" if channel == Channel.GAPS else "recv_ns" if channel == Channel.FRAMES else "capture_ts"
    try:
        if channel == Channel.FRAMES:
            raise DataError(f"{file} holds frames, which name no instruments", "restore the manifest from a copy")
        table = read_table(near, plain_schema(Channel(channel), ["exchange", "symbol", time_name]))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read: {error}", "restore it from a copy") from error
    times, start = table[time_name].cast(pa.int64()).to_pylist(), 0
    instruments: dict[str, InstrumentEntry] = {}
    for key, rows in runs_of(table.select(["exchange", "symbol"])):
        span = times[start : start + rows]
        instruments[key] = InstrumentEntry(rows=rows, first_us=min(span), last_us=max(span))
        start += rows
    return ChannelEntry(
        file=file.name, rows=len(times), bytes=near.stat().st_size, sha256=checksum_file(near), instruments=instruments
    )


def _at_rest(lake: Lake, source: str, file: LakePath, change: Callable[[], None]) -> None:
    """Make a change to a file where it still stands and no landing has taken its segment up since."""
    name = _name(file)
    with locked(lake, landing_lock(source)):
        if _is_still_there(file) and (name is None or name.id not in _waiting_ids(lake, source)):
            change()


def _is_still_there(file: LakePath) -> bool:
    """Asked anew: one of a bucket that was listed is taken to be there."""
    return file.with_name(file.name).is_file()


def _land(lake: Lake, source: str, date: str) -> None:
    land(lake, source, [date])


def _finish(lake: Lake, source: str, folder: LakePath) -> None:
    with locked(lake, landing_lock(source)):
        finish(folder)


def _same(lake: Lake, one: LakePath, other: LakePath) -> bool:
    """Whether two files hold the same bytes."""
    made = new_directory(lake.work)
    try:
        return checksum_file(on_disk(one, made / "one")) == checksum_file(on_disk(other, made / "other"))
    finally:
        discard(made)


def _waiting_ids(lake: Lake, source: str) -> set[str]:
    return {name.id for name in waiting(lake, source)}


def _age_s(file: LakePath) -> float:
    return time.time() - file.stat().st_mtime


def _name(file: LakePath) -> SegmentName | None:
    try:
        return segment_of_file(file.name) if format_of(file.name) or file.suffix == ".json" else None
    except DataError:
        return None
