"""Which places wait to be compacted, and compacting them in turn; how is in `parts_merge` and `segments_merge`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.parts_merge import compact_partition, is_due
from fluxforge_assets.lake.paths import Lake, Place, day_start_us
from fluxforge_assets.lake.segments_merge import CHANNELS, compact_segments, segments_due
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import FluxForgeError, InstrumentError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.names import DAY_US, date_of
from fluxforge_collector.storage.bucket import matching

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Selection:
    """Which places: None is all. Naming an exchange or a symbol leaves out bronze, whose files hold all instruments."""

    exchange: str | None = None
    symbol: str | None = None
    """Path-safe."""
    first: str | None = None
    last: str | None = None
    channels: frozenset[str] = frozenset()

    def has_date(self, date: str) -> bool:
        """Whether a date is wanted."""
        return (self.first or "") <= date and (self.last is None or date <= self.last)

    def has(self, asset: str) -> bool:
        """Whether an asset is wanted; gold follows from order books."""
        channel = "orderbook" if asset.startswith("gold/") else asset.partition("/")[2]
        return not self.channels or channel in self.channels

    @property
    def has_bronze(self) -> bool:
        """Whether whole dates are wanted, and so bronze."""
        return self.exchange is None and self.symbol is None


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
                if place.date <= closed and is_due(lake.partition(place, dataset.folder), options):
                    yield _processed(lake, dataset, place, options)


def stored_places(lake: Lake, dataset: Dataset, selection: Selection) -> Iterator[Place]:
    """The stored partitions of a dataset, by source, instrument and date; other folders are passed over."""
    pattern = f"exchange={selection.exchange or '*'}/symbol={selection.symbol or '*'}/date=*"
    for root in matching(lake.root, f"processed/*/{dataset.folder}"):
        source = root.parts[-1 - len(dataset.folder.split("/"))]
        for path in matching(root, pattern):
            exchange, symbol, date = (name.partition("=")[2] for name in path.parts[-3:])
            if _DATE.fullmatch(date) and selection.has_date(date):
                with suppress(InstrumentError):
                    yield Place(source, Instrument.from_key(f"{exchange}:{symbol}"), date)


def check_closed(date: str, options: Compaction, now_us: int) -> bool:
    """Whether a date ended long enough ago. Raises: DataError where it is no date."""
    return day_start_us(date) <= day_start_us(last_closed_date(options, now_us))


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


def _processed(lake: Lake, dataset: Dataset, place: Place, options: Compaction) -> Due:
    directory = lake.partition(place, dataset.folder)
    sizes = [(directory / part.name).stat().st_size for part in parts_of(directory)]
    run = partial(compact_partition, lake, dataset, place, options)
    return Due(dataset.asset, f"{place.date}|{place.instrument.key}", len(sizes), sum(sizes), run)
