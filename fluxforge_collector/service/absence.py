"""Times in which nothing could be collected, or no time could be told: before this run, and at steps of the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from fluxforge_collector.clock import Clock
from fluxforge_collector.errors import DataError, ManifestError
from fluxforge_collector.exchanges.surroundings import Start
from fluxforge_collector.records import Channel, GapReason
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import SegmentName, SourcePaths, newest_dates, segment_of_file

log = structlog.get_logger()

_CLOCK_STEP_US = 1_000_000


def last_manifest(paths: SourcePaths, collector: str, now_us: int) -> Manifest | None:
    """The manifest of the newest segment in which a collector recorded anything, or which it ended in order.

    It is found wherever in its life the segment stands. Segments of a run that died before it recorded anything do not
    count: nobody can tell how much of its beginning it still could write down. Nor do those that end after now: see
    `was_ahead`.
    """
    last: Manifest | None = None
    for last in (one for one in newest_manifests(paths, collector, now_us) if one.to_us <= now_us):
        if last.final or any(entry.rows for channel, entry in last.channels.items() if channel != Channel.GAPS):
            break
    return last


def was_ahead(paths: SourcePaths, collector: str, now_us: int) -> bool:
    """Whether an earlier run's clock was ahead of now, so that nobody can tell how long nothing was collected."""
    newest = next(newest_manifests(paths, collector, now_us), None)
    return newest is not None and newest.to_us > now_us


def newest_manifests(paths: SourcePaths, collector: str, now_us: int) -> Iterator[Manifest]:
    """The manifests of a collector's last segments, newest first; one that cannot be read is passed over.

    Of what landed or was sent it is the last two dates: a segment around midnight may be there before one of the day
    before.
    """
    names: dict[SegmentName, Path] = {}
    kept = [date for home in (paths.archive_dir, paths.uploaded_dir) for date in newest_dates(home, now_us)]
    for directory in (paths.ready_dir, paths.processing_dir, paths.quarantine_dir, *kept):
        for file in directory.glob("segment_*.json"):
            with suppress(DataError):
                names[segment_of_file(file.name)] = file
    mine = sorted((n for n in names if n.collector == collector), key=lambda n: (n.start_us, n.id), reverse=True)
    for name in mine:
        with suppress(ManifestError):
            yield read_manifest(names[name])


def start_of(last: Manifest | None, now_us: int) -> Start:
    """Since when nothing was collected: the last segment's end, orderly or not; now where there is none."""
    if last is None:
        return Start(now_us, GapReason.DISCONNECT, is_first=True)
    return Start(last.to_us, GapReason.SHUTDOWN if last.final else GapReason.CRASH, is_first=False)


class ClockGuard:
    """Watches for steps of the wall clock; `on_step` is told of each: capture times before and after, and what it was.

    A step forward is followed when a segment ends. A step backward is not: capture time would have to stand still.
    """

    def __init__(self, clock: Clock, on_step: Callable[[int, int, str], None]) -> None:
        self._clock = clock
        self._on_step = on_step
        self._known_us = 0

    def settle(self) -> None:
        """Called between segments: tell of a step that has happened, and follow it where that is possible."""
        step_us = self._clock.step_us()
        if abs(step_us - self._known_us) < _CLOCK_STEP_US:
            return
        before_us = self._clock.capture_us()
        if step_us > 0:
            self._clock.anchor()
        self._known_us = self._clock.step_us()
        detail = f"the wall clock moved by {step_us / 1e6:+.3f} s"
        log.warning("clock step", detail=detail)
        self._on_step(before_us, self._clock.capture_us(), detail)
