"""One source's landed segments: which there are, up to when all is here, and where nothing is. Rows: `bronze`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import pairwise

from fluxforge_assets.lake.bronze_files import DayFiles, list_files
from fluxforge_assets.lake.kept import Kept
from fluxforge_assets.lake.paths import Lake, Segments, next_date
from fluxforge_collector.errors import DataError
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import SegmentName, date_of, segment_of_file
from fluxforge_collector.storage.bucket import LakePath, nearby

SILENT_COLLECTOR_US = 900_000_000
"""A collector this far behind the newest one holds nothing back; what it still brings is late, and rebuilt."""

LATEST_US = 7_200_000_000
"""How long after its capture time a row may still come: trades are fetched again after gaps of up to an hour."""


class Archive:
    """The landed segments of one source, listed once: a run sees one state of them.

    One that is read for many instruments keeps up to `keep_bytes` of rows in memory.
    """

    def __init__(self, lake: Lake, source: str, *, keep_bytes: int = 0) -> None:
        self.source = source
        self.kept = Kept(keep_bytes) if keep_bytes else None
        self.paths: Segments = lake.segments(source)
        self._work = lake.work
        self._listed: dict[str, LakePath] = {}
        self._names: dict[str, tuple[SegmentName, ...]] = {}
        self._manifests: dict[str, Manifest] = {}
        self._first: dict[str, int] = {}
        self._between: dict[tuple[int, int], tuple[SegmentName, ...]] = {}
        self._files: dict[tuple[str, str], DayFiles] = {}
        self._watermark: int | None = None

    def __repr__(self) -> str:
        return f"<Archive {self.source}: {len(self._names)} dates listed>"

    def dates(self) -> list[str]:
        """Dates with landed segments, sorted."""
        return sorted(path.name.removeprefix("date=") for path in self.paths.archive_dir.glob("date=*"))

    def names(self, date: str) -> tuple[SegmentName, ...]:
        """The segments of a date, by start."""
        if date not in self._names:
            folder = self.paths.archive_dir / f"date={date}"
            found = {name: path for path in folder.glob("segment_*.json") if (name := _segment(path.name))}
            self._listed |= {name.id: path for name, path in found.items()}
            self._names[date] = tuple(sorted(found, key=lambda name: (name.start_us, name.id)))
        return self._names[date]

    def manifest(self, name: SegmentName) -> Manifest:
        """A segment's manifest. Raises: ManifestError where it cannot be read."""
        if name.id not in self._manifests:
            path = self._listed.get(name.id) or self.paths.archive_manifest(name.date, name.id)
            near = nearby(path, self._work)
            # another process may have made room in the cache just now
            self._manifests[name.id] = read_manifest(near if near.exists() else path)
        return self._manifests[name.id]

    def files(self, channel: str, date: str) -> DayFiles:
        """The files of a channel's date, as they were when first asked for."""
        if (channel, date) not in self._files:
            self.names(date)  # listed first: whatever they name has its file by then
            self._files[channel, date] = list_files(self.paths.archive_dir / channel / f"date={date}")
        return self._files[channel, date]

    def look_again(self) -> None:
        """See what has landed since; what was read of segments is kept, for they never change."""
        self._names.clear()
        self._between.clear()
        self._files.clear()
        self._watermark = None
        if self.kept is not None:
            self.kept.forget_unused()

    def without_rows(self) -> Archive:
        """The same state of the segments, which keeps no rows of its own."""
        other = copy.copy(self)
        other.kept = None
        return other

    def brings(self, name: SegmentName, key: str) -> bool:
        """Whether a segment has rows of an instrument."""
        return any(key in entry.instruments for entry in self.manifest(name).channels.values())

    def forget_files(self) -> None:
        """Look again where files are: compaction has moved rows from many into few."""
        self._files.clear()

    def between(self, from_us: int, to_us: int) -> tuple[SegmentName, ...]:
        """Segments that may hold rows captured in `[from_us, to_us)`, by start.

        Those of the range, each collector's last one before, its first one after, and those after that bring older
        rows: a record that reaches the writer late, such as a trade fetched again, is kept in the segment open then.
        """
        if (from_us, to_us) not in self._between:  # asked for again by every instrument
            self._between[from_us, to_us] = self._find(from_us, to_us)
        return self._between[from_us, to_us]

    def _find(self, from_us: int, to_us: int) -> tuple[SegmentName, ...]:
        before: dict[str, SegmentName] = {}
        found: list[SegmentName] = []
        after: dict[str, SegmentName] = {}
        date, last = date_of(from_us), date_of(to_us + LATEST_US)
        while date <= last:
            for name in self.names(date):
                if name.start_us <= from_us:
                    before[name.collector] = name
                elif name.start_us < to_us:
                    found.append(name)
                elif name.collector not in after:
                    after[name.collector] = name
                elif name.start_us < to_us + LATEST_US and self.first_us(name) < to_us:
                    found.append(name)
            date = next_date(date)
        return tuple(sorted({*before.values(), *found, *after.values()}, key=lambda name: (name.start_us, name.id)))

    def first_us(self, name: SegmentName) -> int:
        """The earliest capture time in a segment; gaps may begin long before."""
        if name.id not in self._first:
            channels = self.manifest(name).channels.items()
            entries = (
                entry for channel, known in channels if channel != Channel.GAPS for entry in known.instruments.values()
            )
            self._first[name.id] = min((entry.first_us for entry in entries), default=name.start_us)
        return self._first[name.id]

    def instruments(self, names: Iterable[SegmentName]) -> set[str]:
        """Keys of the instruments with rows in these segments."""
        return {key for name in names for key in self.manifest(name).instruments}

    def watermark_us(self) -> int | None:
        """Everything captured before it has landed; None for an empty archive.

        The least end among the collectors still running; a collector that ended in order, or is far behind, holds
        nothing back. Where two collectors bring the same instrument, both must have come that far.
        """
        if self._watermark is not None:
            return self._watermark
        newest: dict[str, SegmentName] = {}
        for date in self.dates()[-2:]:
            newest |= {name.collector: name for name in self.names(date)}
        if not newest:
            return None
        manifests = [self.manifest(name) for name in newest.values()]
        furthest = max(m.to_us for m in manifests)
        self._watermark = min(m.to_us for m in manifests if m.to_us == furthest or not _lets_go(m, furthest))
        return self._watermark

    def holes(self, names: Iterable[SegmentName]) -> list[tuple[int, int]]:
        """Spans `(from_us, to_us)` between successive segments of a collector that no segment covers."""
        by_collector: dict[str, list[Manifest]] = {}
        for name in names:
            by_collector.setdefault(name.collector, []).append(self.manifest(name))
        return sorted(
            (earlier.to_us, later.from_us)
            for manifests in by_collector.values()
            for earlier, later in pairwise(manifests)
            if later.from_us > earlier.to_us
        )


def _lets_go(manifest: Manifest, furthest_us: int) -> bool:
    return manifest.final or furthest_us - manifest.to_us > SILENT_COLLECTOR_US


def _segment(name: str) -> SegmentName | None:
    """What a file's name says; None where somebody else put it there."""
    try:
        return segment_of_file(name)
    except DataError:
        return None


def archives_of(lake: Lake) -> dict[str, Archive]:
    """The archive of every source."""
    return {source: Archive(lake, source) for source in lake.sources()}
