"""Committing a segment: its journals become sealed files, then a manifest, then they go. Writer and recovery share it.

Whatever could not be kept becomes a gap row of the same segment: gaps are sealed last, when the other channels' files
tell what is there. Until the manifest stands everything may be done again, and gives the same rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from fluxforge_collector.durable import make_directory, storage_errors, sync_directory, write_file
from fluxforge_collector.errors import JournalError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel, GapReason, GapRecord
from fluxforge_collector.segments.columns import RECORDS, Columns
from fluxforge_collector.segments.journals import read_journal
from fluxforge_collector.segments.manifest import ChannelEntry, Manifest, write_manifest
from fluxforge_collector.segments.names import DAY_US, RawFormat, parse_segment_id
from fluxforge_collector.segments.seal import seal_channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from fluxforge_collector.config.model import Ingestion
    from fluxforge_collector.segments.names import SegmentName, SourcePaths

CHANNELS = tuple(RECORDS.values())
_KNOWN = b"fluxforge.known"
_FOLLOWS = b"fluxforge.follows"
_FOLLOWS_TO = b"fluxforge.follows_to"
_log = structlog.get_logger(__name__)

Known = dict[Channel, set[Instrument]]


class Header(NamedTuple):
    """What a segment's gaps journal says at its head: instruments seen before it, and the segment it follows.

    `follows_to_us` is where that one ends; after a leap of the clock this one begins later.
    """

    known: Known
    follows: str | None = None
    follows_to_us: int | None = None

    def to_metadata(self) -> dict[str, str]:
        """The header as metadata of the journal's schema."""
        known = {channel: sorted(i.key for i in instruments) for channel, instruments in self.known.items()}
        return {
            _KNOWN.decode(): json.dumps(known),
            _FOLLOWS.decode(): self.follows or "",
            _FOLLOWS_TO.decode(): str(self.follows_to_us or ""),
        }

    @classmethod
    def read(cls, path: Path) -> Header | None:
        """The header of a gaps journal; None where there is none that can be read."""
        try:
            with read_journal(path, Channel.GAPS) as reader:
                metadata = reader.metadata
            known = json.loads(metadata[_KNOWN])
            return cls(
                {Channel(channel): {Instrument.from_key(key) for key in keys} for channel, keys in known.items()},
                metadata[_FOLLOWS].decode() or None,
                int(metadata[_FOLLOWS_TO] or 0) or None,
            )
        except (JournalError, KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a segment ended.

    `to_us` is where its range ends, None where that is not known. `crash_until_us` is given where rows may be missing
    from each instrument's last record on, and is when that was found; `final` after an orderly stop.
    """

    to_us: int | None
    crash_until_us: int | None = None
    final: bool = False


class _Read(NamedTuple):
    """A channel's journal, sealed: its entry and what could not be believed."""

    entry: ChannelEntry
    damage: str | None


def quarantine(paths: SourcePaths, channel: str, path: Path, reason: str) -> None:
    """Give a file a second name in quarantine with its reason beside; the file itself stays where it is."""
    target = paths.quarantine_file(channel, path.name)
    make_directory(target.parent)
    why = {"name": path.name, "source": paths.source, "channel": channel, "reason": reason}
    write_file(target.with_name(f"{target.name}.reason.json"), json.dumps(why, indent=1).encode() + b"\n")
    if not target.exists():
        target.hardlink_to(path)
        sync_directory(target.parent)
    _log.warning("quarantined", file=str(path), reason=reason)


def _seal_journal(
    paths: SourcePaths,
    channel: Channel,
    name: SegmentName,
    form: RawFormat,
    ingestion: Ingestion,
    more: Iterable[pa.RecordBatch] = (),
) -> _Read:
    """Seal what a channel's journal holds and `more`."""
    journal, target = paths.journal(channel, name.id, form), paths.ready_file(channel, name.id, form)
    if not journal.exists() or not journal.stat().st_size:
        return _Read(seal_channel(channel, more, target, ingestion), None)
    try:
        with read_journal(journal, channel) as reader:
            entry = seal_channel(channel, (batch for part in (reader, more) for batch in part), target, ingestion)
    except JournalError as error:
        quarantine(paths, channel, journal, error.message)
        return _Read(seal_channel(channel, more, target, ingestion), "unreadable journal")
    if reader.damage is None:
        return _Read(entry, None)
    damage = f"{reader.damaged_bytes} bytes of the journal torn or corrupt: {reader.damage}"
    quarantine(paths, channel, journal, damage)
    return _Read(entry, damage)


def _gaps(name: SegmentName, sealed: Mapping[Channel, _Read], known: Known, ending: Ending) -> list[GapRecord]:
    """A gap for every instrument and channel of which rows may be missing.

    With a crash: from each instrument's last record, or the segment's start where it is only known from before.
    """
    ledger_damage = sealed[Channel.GAPS].damage
    rows: list[GapRecord] = []
    for channel, (entry, own_damage) in sealed.items():
        damage = own_damage or ledger_damage
        if channel is Channel.GAPS or (ending.crash_until_us is None and damage is None):
            continue
        seen = {Instrument.from_key(key): its.last_us for key, its in entry.instruments.items()}
        for instrument in sorted(known.get(channel, set()) | seen.keys()):
            start_us = name.start_us if ledger_damage else seen.get(instrument, name.start_us)
            end_us = ending.crash_until_us or ending.to_us or start_us
            rows.append(
                GapRecord(
                    instrument.exchange, instrument.symbol, channel, start_us, max(start_us, end_us), GapReason.CRASH,
                    None, damage, len(rows),
                )
            )  # fmt: skip
    return rows


def seal_segment(
    paths: SourcePaths, segment_id: str, form: RawFormat, known: Known, ending: Ending, ingestion: Ingestion
) -> Manifest:
    """Seal every channel of a segment from its journals, in their format, and commit it with its manifest.

    Raises: StorageError where the disk refuses; nothing is committed then, and it may be called again.
    """
    name = parse_segment_id(segment_id)
    with storage_errors(f"seal segment {segment_id}"):
        sealed = {channel: _seal_journal(paths, channel, name, form, ingestion) for channel in CHANNELS}
        gaps = Columns(Channel.GAPS)
        for gap in _gaps(name, sealed, known, ending):
            gaps.append(gap)
        if gaps:
            sealed[Channel.GAPS] = _seal_journal(paths, Channel.GAPS, name, form, ingestion, [gaps.to_batch()])
    last_us = [
        i.last_us for c, read in sealed.items() if c is not Channel.GAPS for i in read.entry.instruments.values()
    ]
    midnight_us = (name.start_us // DAY_US + 1) * DAY_US
    manifest = Manifest(
        id=segment_id,
        source=paths.source,
        collector=name.collector,
        from_us=name.start_us,
        to_us=ending.to_us or min(max([name.start_us, *last_us]) + 1, midnight_us),
        final=ending.final,
        channels={
            channel: read.entry
            for channel, read in sealed.items()
            if channel is not Channel.FRAMES or read.entry.rows or known.get(channel)
        },
        gaps=sealed[Channel.GAPS].entry.rows,
    )
    for channel, read in sealed.items():
        if read.damage:
            _log.warning("journal damaged", segment=segment_id, channel=channel, damage=read.damage)
    write_manifest(paths.ready_manifest(segment_id), manifest)
    return manifest


def discard_journals(paths: SourcePaths, segment_id: str, form: RawFormat) -> None:
    """Delete the journals of a committed segment; the gaps journal last, for it is what recovery looks for."""
    with storage_errors(f"delete the journals of {segment_id}"):
        for channel in CHANNELS:
            journal = paths.journal(channel, segment_id, form)
            if journal.exists():
                journal.unlink()
                sync_directory(journal.parent)
