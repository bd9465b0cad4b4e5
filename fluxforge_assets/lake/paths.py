"""Where things stand in the lake; no file is opened here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError, DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.segments.names import DAY_US, SourcePaths
from fluxforge_collector.storage.bucket import BucketPath, LakePath, open_path

Segments = SourcePaths[Path] | SourcePaths[BucketPath]
_SOURCE = re.compile(r"[a-z0-9_]{1,32}\Z")


def day_start_us(day: str) -> int:
    """The first microsecond of a UTC date. Raises: DataError where `day` is no date."""
    try:
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError:
        raise DataError(f"{day!r} is no date", "write it like 2026-11-24") from None
    return round(start.timestamp()) * 1_000_000


def next_date(day: str) -> str:
    """The date after `day`."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()


@dataclass(frozen=True, slots=True)
class Place:
    """One partition of any dataset: an instrument of a source on a UTC date."""

    source: str
    instrument: Instrument
    date: str

    @property
    def start_us(self) -> int:
        """The day's first microsecond."""
        return day_start_us(self.date)

    @property
    def end_us(self) -> int:
        """The first microsecond of the next day."""
        return self.start_us + DAY_US

    @property
    def folder(self) -> Path:
        """The hive-style folder, relative to a dataset."""
        exchange, _, symbol = self.instrument.key.partition(":")
        return Path(f"exchange={exchange}") / f"symbol={symbol}" / f"date={self.date}"


@dataclass(frozen=True, slots=True)
class Lake:
    """A lake by its root; one in a bucket also needs a `local` directory for locks and what is being written.

    `locks` is the address of the Postgres that holds its locks instead, where several machines write to it.
    """

    root: LakePath
    local: Path | None = None
    locks: str | None = field(default=None, repr=False)

    @property
    def raw(self) -> LakePath:
        """Segments, from journal to archive."""
        return self.root / "raw"

    @property
    def work(self) -> Path:
        """Locks and what is being written: on a disk, outside every dataset, on the file system of a local root."""
        if isinstance(self.root, Path):
            return self.root / ".work"
        if self.local is None:
            raise ConfigError(f"{self.root} needs a local directory beside it", "set lake.work")
        return self.local / ".work"

    @property
    def state(self) -> LakePath:
        """Small files that every machine must see: marks, tries."""
        return self.root / ".work"

    def sources(self) -> list[str]:
        """Sources with sealed segments, sorted."""
        found = {
            entry.name
            for stage in ("ready", "processing", "archive")
            for entry in _entries(self.raw / stage)
            if entry.is_dir() and _SOURCE.match(entry.name)
        }
        return sorted(found)

    def segments(self, source: str) -> Segments:
        """Where a source's raw files stand."""
        if isinstance(self.root, BucketPath):
            return SourcePaths(self.root, source)
        return SourcePaths(self.root, source)

    def dataset(self, source: str, folder: str) -> LakePath:
        """The directory of a processed dataset, such as `orderbook/hf`."""
        return self.root / "processed" / source / folder

    def partition(self, place: Place, folder: str) -> LakePath:
        """The directory of one partition."""
        return self.dataset(place.source, folder) / place.folder

    def places(self, source: str, folder: str, day: str) -> list[Place]:
        """The partitions of a dataset on a date, sorted; names that are no instruments are passed over."""
        found = []
        for path in self.dataset(source, folder).glob(f"exchange=*/symbol=*/date={day}"):
            exchange, symbol = path.parts[-3].partition("=")[2], path.parts[-2].partition("=")[2]
            found.append(Place(source, Instrument.from_key(f"{exchange}:{symbol}"), day))
        return sorted(found, key=lambda place: place.instrument.key)


def open_lake(config: Config) -> Lake:
    """The lake of a configuration; nothing is read or made. Raises: ConfigError where its root is no place."""
    root = open_path(config.lake.root, config.storage)
    locks = config.lake.locks.get_secret_value() if config.lake.locks else None
    return Lake(root, None if isinstance(root, Path) else config.root, locks)


def existing_lake(config: Config) -> Lake:
    """As `open_lake`, for whoever finds nothing wrong and nothing to do where nothing is. Raises: ConfigError there."""
    lake = open_lake(config)
    if not lake.root.is_dir():
        raise ConfigError(f"there is no lake at {lake.root}", "check lake.root; the collector makes it")
    return lake


def _entries(directory: LakePath) -> list[LakePath]:
    return list(directory.iterdir()) if directory.is_dir() else []
