"""How much of an instrument's day is here: what segments cover, what gaps take from it, and whether that is proven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import polars as pl

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze import gap_table, standing
from fluxforge_assets.lake.bronze_rows import rows_of
from fluxforge_assets.lake.paths import Place, day_start_us
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import Manifest
from fluxforge_collector.segments.names import DAY_US
from fluxforge_collector.sequence import is_proven

Span = tuple[int, int]
"""`[from_us, to_us)`."""


class Coverage(NamedTuple):
    """One channel of an instrument's day, in seconds; what is neither covered nor a gap was not collected.

    `seconds` is the length of the day so far. `by_reason` counts overlapping gaps of different reasons each.
    `is_proven`: the exchange's frames carry a sequence that was judged; elsewhere a loss on the wire can go unseen.
    """

    place: Place
    channel: Channel
    seconds: float
    covered: float
    gap: float
    by_reason: Mapping[str, float]
    is_proven: bool

    @property
    def missing(self) -> float:
        """Seconds in which nobody collected it."""
        return max(0.0, self.seconds - self.covered - self.gap)

    @property
    def share(self) -> float:
        """Share of the day that is here."""
        return self.covered / self.seconds if self.seconds else 0.0

    @property
    def share_of_collected(self) -> float:
        """Share of the time in which it was collected."""
        meant = self.covered + self.gap
        return self.covered / meant if meant else 0.0


def coverages(archive: Archive, date: str, channel: Channel) -> Iterator[Coverage]:
    """The coverage of every instrument with rows on a date, by key."""
    manifests = [archive.manifest(name) for name in archive.names(date)]
    watermark = archive.watermark_us() or 0
    start = day_start_us(date)
    until = min(start + DAY_US, max(start, watermark))
    later = next((day for day in archive.dates() if day > date), None)
    # a gap may be told of by the first segment of a later day
    ledger = _Ledger(archive, start, day_start_us(later) + 1 if later else start + DAY_US)
    around = (_at(archive, _before(archive, date), -1), _at(archive, later, 0))
    for key in sorted(archive.instruments(archive.names(date))):
        instrument = Instrument.from_key(key)
        gaps = ledger.gaps(instrument, channel, (start, until))
        every = merged(span for spans in gaps.values() for span in spans)
        collected = merged(_clip(_collected(key, manifests, around), (start, until)))
        yield Coverage(
            Place(archive.source, instrument, date),
            channel,
            (until - start) / 1e6,
            _length(without(collected, every)) / 1e6,
            _length(every) / 1e6,
            {reason: _length(merged(spans)) / 1e6 for reason, spans in sorted(gaps.items())},
            is_proven(instrument.exchange, channel),
        )


def gaps_until(archive: Archive, place: Place, until_us: int) -> tuple[float, float]:
    """Seconds of an instrument's day that lie in a gap of any channel, and the share of its time that does not.

    Both up to `until_us`, from the first segment of the day that brings the instrument.
    """
    first = next((name for name in archive.names(place.date) if archive.brings(name, place.instrument.key)), None)
    start_us = max(place.start_us, archive.manifest(first).from_us) if first else until_us
    if until_us <= start_us:
        return 0.0, 1.0
    rows = pl.DataFrame(gap_table(archive, place.instrument, start_us, until_us))
    spans: list[Span] = rows.select(pl.col("gap_start", "gap_end").cast(pl.Int64)).rows()
    gap_us = _length(merged(_clip(spans, (start_us, until_us))))
    return gap_us / 1e6, 1 - gap_us / (until_us - start_us)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time as disjoint spans, ascending."""
    done: list[Span] = []
    for start, end in sorted(spans):
        if done and start <= done[-1][1]:
            done[-1] = (done[-1][0], max(done[-1][1], end))
        elif end > start:
            done.append((start, end))
    return done


def without(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """Disjoint spans with disjoint ascending holes cut out."""
    cuts, done = list(holes), []
    for first, end in spans:
        start = first
        for hole_start, hole_end in cuts:
            if hole_end <= start or hole_start >= end:
                continue
            done.append((start, hole_start))
            start = max(start, hole_end)
        done.append((start, end))
    return [span for span in done if span[1] > span[0]]


class _Ledger:
    """The gaps of every instrument in a span, listed once: what the ledger tells, and holes between segments."""

    def __init__(self, archive: Archive, from_us: int, to_us: int) -> None:
        self._archive = archive
        names = archive.between(from_us, to_us)
        self._telling = [n for n in names if _rows(archive.manifest(n), Channel.GAPS)]
        mine = {collector: [n for n in names if n.collector == collector] for collector in {n.collector for n in names}}
        self._holes = {collector: archive.holes(own) for collector, own in mine.items()}
        self._brings = {collector: archive.instruments(own) for collector, own in mine.items()}

    def gaps(self, instrument: Instrument, channel: Channel, within: Span) -> dict[str, list[Span]]:
        """A channel's gaps by reason."""
        rows = pl.DataFrame(standing(rows_of(self._archive, Channel.GAPS, instrument, self._telling)))
        mine = rows.filter(pl.col("channel").is_in([channel.value, "all"]))
        told = mine.select("reason", pl.col("gap_start", "gap_end").cast(pl.Int64)).rows()
        holes = [
            ("missing_segment", *hole)
            for collector, spans in self._holes.items()
            if instrument.key in self._brings[collector]
            for hole in spans
        ]
        found: dict[str, list[Span]] = {}
        for reason, start, end in (*told, *holes):
            for span in _clip([(start, end)], within):
                found.setdefault(reason, []).append(span)
        return found


def _rows(manifest: Manifest, channel: Channel) -> int:
    return manifest.channels[channel].rows if channel in manifest.channels else 0


def _collected(key: str, manifests: Iterable[Manifest], around: tuple[list[Manifest], list[Manifest]]) -> list[Span]:
    """The segments of each collector that brings the instrument, from the first with rows of it to the last.

    A quiet segment between them was collected too; so was one at the day's edge if the day beyond goes on.
    """
    by_collector: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_collector.setdefault(manifest.collector, []).append(manifest)
    before, after = ({m.collector for m in side if _has(m, key)} for side in around)
    spans: list[Span] = []
    for collector, mine in by_collector.items():
        with_rows = [index for index, manifest in enumerate(mine) if _has(manifest, key)]
        if with_rows:
            first = 0 if collector in before else with_rows[0]
            last = len(mine) - 1 if collector in after else with_rows[-1]
            spans += [(manifest.from_us, manifest.to_us) for manifest in mine[first : last + 1]]
    return spans


def _has(manifest: Manifest, key: str) -> bool:
    return any(key in entry.instruments for entry in manifest.channels.values())


def _before(archive: Archive, date: str) -> str | None:
    return max((day for day in archive.dates() if day < date), default=None)


def _at(archive: Archive, date: str | None, index: int) -> list[Manifest]:
    """Each collector's first (0) or last (-1) manifest of a date."""
    by_collector: dict[str, list[Manifest]] = {}
    for name in archive.names(date) if date else ():
        by_collector.setdefault(name.collector, []).append(archive.manifest(name))
    return [manifests[index] for manifests in by_collector.values()]


def _clip(spans: Iterable[Span], within: Span) -> list[Span]:
    cut = ((max(start, within[0]), min(end, within[1])) for start, end in spans)
    return [span for span in cut if span[1] > span[0]]


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)
