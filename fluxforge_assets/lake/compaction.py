"""Which places wait to be compacted, and compacting them in turn; how is in `parts_merge` and `segments_merge`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.parts_merge import compact_partition, is_due
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection, stored_places
from fluxforge_assets.lake.reading import patiently
from fluxforge_assets.lake.segments_merge import CHANNELS, compact_segments, segments_due
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.names import DAY_US, date_of

_HOUR_US = 3_600_000_000


class Compact(Protocol):
    """Compacts a place; None where another run was faster."""

    def __call__(self) -> Compacted | None:
        """Do it."""


class Due(NamedTuple):
    """A place that waits to be compacted: what stands there now, and what compacts it."""

    what: str
    partition: str
    files: int
    size: int
    run: Compact


@dataclass(frozen=True)
class NotCompacted:
    """A place that could not be compacted; it is as it was."""

    what: str
    partition: str
    error: FluxForgeError


def last_closed_date(options: Compaction, now_us: int) -> str:
    """The newest date that ended long enough ago."""
    return date_of(now_us - round(options.min_age_hours * _HOUR_US) - DAY_US)


def compact(
    lake: Lake, options: Compaction, selection: Selection, *, now_us: int, what: str = ""
) -> Iterator[Compacted | NotCompacted]:
    """Compact what waits, and tell what came of it; a place that fails does not stop the rest.

    `what` narrows it to assets whose names begin so.
    """
    for due in waiting(lake, options, selection, now_us=now_us):
        if not due.what.startswith(what):
            continue
        if isinstance(due, NotCompacted):
            yield due
            continue
        try:
            done = due.run()
        except FluxForgeError as error:
            yield NotCompacted(due.what, due.partition, error)
        else:
            if done is not None:
                yield done


def waiting(lake: Lake, options: Compaction, selection: Selection, *, now_us: int) -> Iterator[Due | NotCompacted]:
    """The closed places with files to merge, bronze first."""
    closed = last_closed_date(options, now_us)
    for source in lake.sources() if selection.has_bronze else ():
        archive = Archive(lake, source)
        for date in [d for d in archive.dates() if selection.has_date(d) and d <= closed]:
            for channel in CHANNELS:
                if selection.has(f"bronze/{channel.value}"):
                    yield from _bronze(lake, archive, channel, date, options)
    for dataset in DATASETS:
        if selection.has(dataset.asset):
            for place in stored_places(lake, dataset, selection):
                if place.date <= closed:
                    yield from _processed(lake, dataset, place, options)


def _bronze(
    lake: Lake, archive: Archive, channel: Channel, date: str, options: Compaction
) -> Iterator[Due | NotCompacted]:
    what = f"bronze/{channel.value}"
    try:
        names = segments_due(archive, channel, date)
        size = sum(archive.manifest(name).channels[channel].bytes for name in names)
    except FluxForgeError as error:
        yield NotCompacted(what, date, error)
        return
    if names:
        run = partial(compact_segments, lake, archive.source, channel, date, options)
        yield Due(what, date, len(names), size, run)


def _processed(lake: Lake, dataset: Dataset, place: Place, options: Compaction) -> Iterator[Due | NotCompacted]:
    directory, partition = lake.partition(place, dataset.folder), f"{place.date}|{place.instrument.key}"

    def sizes() -> list[int]:
        return [(directory / part.name).stat().st_size for part in parts_of(directory)]

    try:
        found = patiently(lambda: sizes() if is_due(directory, options) else [])
    except FluxForgeError as error:
        yield NotCompacted(dataset.asset, partition, error)
        return
    if found:
        run = partial(compact_partition, lake, dataset, place, options)
        yield Due(dataset.asset, partition, len(found), sum(found), run)
