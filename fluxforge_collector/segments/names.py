"""Names of segments and where their files stand; no file is opened here.

A segment's id is `{YYYYMMDD}T{HHMMSS}Z_{collector}_{ulid}`. The ULID's 26 letters hold the segment's start: 48 bits
of milliseconds, 10 bits of microseconds within, then 70 random bits. So ids never repeat, sort by time, and give the
start back to the microsecond without opening anything.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Generic

from typing_extensions import TypeVar

from fluxforge_collector.errors import DataError
from fluxforge_collector.storage.bucket import BucketPath

DAY_US = 86_400_000_000
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
_RANDOM_BITS = 70
_ID = re.compile(r"(\d{8}T\d{6}Z)_([a-z0-9]{1,16})_([0-7][0-9A-HJKMNP-TV-Z]{25})")
_FILE = re.compile(r"segment_(.+)\.(arrow|parquet|ndjson|ndjson\.zst|json)")
_NAME = re.compile(r"[a-z0-9_]{1,32}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RawFormat(StrEnum):
    """How a segment's rows are written: its journals, and the files sealed from them."""

    PARQUET = "parquet"
    NDJSON = "ndjson"

    @property
    def journal_suffix(self) -> str:
        """What a journal's name ends in."""
        return "arrow" if self is RawFormat.PARQUET else "ndjson"

    @property
    def sealed_suffix(self) -> str:
        """What a sealed file's name ends in."""
        return "parquet" if self is RawFormat.PARQUET else "ndjson.zst"


def date_of(time_us: int) -> str:
    """The UTC date, such as `2024-08-08`, of microseconds since the epoch."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%d")


def newest_dates(folder: Path, now_us: int) -> list[Path]:
    """The folders of the last two dates up to now, and any after: a clock that was ahead may have left some."""
    dates = sorted(folder.glob("date=*"))
    begun = [date for date in dates if date.name <= f"date={date_of(now_us)}"]
    return dates[max(0, len(begun) - 2) :]


def _stamp(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y%m%dT%H%M%SZ")


def new_segment_id(start_us: int, collector: str) -> str:
    """A new id for a segment starting at `start_us` (microseconds since the epoch); no two calls give the same.

    Raises: DataError where `collector` is not 1-16 lower-case letters and digits, or the start lies before the epoch.
    """
    milliseconds, microseconds = divmod(start_us, 1000)
    number = (milliseconds << 10 | microseconds) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    ulid = "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
    segment_id = f"{_stamp(start_us)}_{collector}_{ulid}"
    parse_segment_id(segment_id)
    return segment_id


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What an id says: who wrote the segment and when it began, microseconds since the epoch."""

    id: str
    collector: str
    start_us: int

    @property
    def date(self) -> str:
        """The segment's UTC date."""
        return date_of(self.start_us)


def parse_segment_id(segment_id: str) -> SegmentName:
    """What an id says. Raises: DataError where it is none."""
    match = _ID.fullmatch(segment_id)
    if match:
        number = 0
        for letter in match[3]:
            number = number << 5 | _ALPHABET.index(letter)
        milliseconds, microseconds = divmod(number >> _RANDOM_BITS, 1024)
        start_us = milliseconds * 1000 + microseconds
        if start_us < 253_402_300_800_000_000 and microseconds < 1000 and _stamp(start_us) == match[1]:
            return SegmentName(segment_id, match[2], start_us)
    raise DataError(f"{segment_id[:120]!r} is no segment id", "leave the names of segments as they were written")


def segment_of_file(name: str) -> SegmentName:
    """What the name of a journal, sealed file or manifest says. Raises: DataError where it is none."""
    match = _FILE.fullmatch(name)
    if not match:
        raise DataError(f"{name[:120]!r} is no file of a segment", "leave the names of segments as they were written")
    return parse_segment_id(match[1])


def format_of(name: str) -> RawFormat | None:
    """The format of a sealed file, by its name; None where that is no sealed file's."""
    return next((form for form in RawFormat if name.endswith(f".{form.sealed_suffix}")), None)


def format_of_journal(name: str) -> RawFormat | None:
    """The format of a journal, by its name; None where that is no journal's."""
    return next((form for form in RawFormat if name.endswith(f".{form.journal_suffix}")), None)


def sealed_name(segment_id: str, form: RawFormat) -> str:
    """The name of a segment's sealed files."""
    return _file(segment_id, form.sealed_suffix)


def _component(name: str) -> str:
    """The name itself when it is safe as one part of a path."""
    if not _NAME.fullmatch(name):
        raise DataError(f"{name[:120]!r} is no source or channel", "use lower-case letters, digits and _")
    return name


def _file(segment_id: str, suffix: str) -> str:
    return f"segment_{parse_segment_id(segment_id).id}.{suffix}"


P = TypeVar("P", Path, BucketPath, default=Path)


@dataclass(frozen=True, slots=True)
class SourcePaths(Generic[P]):
    """Where one source's raw files stand below the lake's `root`.

    Raises: DataError from the constructor and every method, where a name would not be a safe part of a path.
    """

    root: P
    source: str

    def __post_init__(self) -> None:
        _component(self.source)

    def _stage(self, stage: str) -> P:
        return self.root / "raw" / stage / self.source

    @property
    def active_dir(self) -> P:
        """Journals being written, a directory per channel."""
        return self._stage("active")

    @property
    def ready_dir(self) -> P:
        """Sealed segments nobody has claimed, a directory per channel; manifests stand directly in it."""
        return self._stage("ready")

    @property
    def processing_dir(self) -> P:
        """Segments claimed by a run, laid out like `ready_dir`."""
        return self._stage("processing")

    @property
    def archive_dir(self) -> P:
        """Bronze: `{channel}/date=…/` for files, `date=…/` for manifests."""
        return self._stage("archive")

    @property
    def uploaded_dir(self) -> P:
        """What a bucket has by now, kept on the collector's disk for a while; laid out like `archive_dir`."""
        return self._stage("uploaded")

    @property
    def quarantine_dir(self) -> P:
        """What could not be used, each with its `{name}.reason.json`."""
        return self._stage("quarantine")

    def lock(self, collector: str) -> P:
        """The file a living collector holds locked."""
        return self.active_dir / f".{_component(collector)}.lock"

    def heartbeat(self, collector: str) -> P:
        """The sign of life a collector leaves every few seconds."""
        return self.active_dir / f".{_component(collector)}.heartbeat.json"

    def journal(self, channel: str, segment_id: str, form: RawFormat = RawFormat.PARQUET) -> P:
        """The journal being written."""
        return self.active_dir / _component(channel) / _file(segment_id, form.journal_suffix)

    def ready_file(self, channel: str, segment_id: str, form: RawFormat = RawFormat.PARQUET) -> P:
        """The sealed file."""
        return self.ready_dir / _component(channel) / sealed_name(segment_id, form)

    def ready_manifest(self, segment_id: str) -> P:
        """The manifest, written last: the segment exists when it does."""
        return self.ready_dir / _file(segment_id, "json")

    def processing_file(self, channel: str, segment_id: str, form: RawFormat = RawFormat.PARQUET) -> P:
        """The file of a claimed segment."""
        return self.processing_dir / _component(channel) / sealed_name(segment_id, form)

    def processing_manifest(self, segment_id: str) -> P:
        """The manifest of a claimed segment."""
        return self.processing_dir / _file(segment_id, "json")

    def archive_file(self, channel: str, date: str, segment_id: str, form: RawFormat = RawFormat.PARQUET) -> P:
        """The file of a landed segment."""
        return self.archive_dir / _component(channel) / _date(date) / sealed_name(segment_id, form)

    def archive_manifest(self, date: str, segment_id: str) -> P:
        """The manifest of a landed segment."""
        return self.archive_dir / _date(date) / _file(segment_id, "json")

    def uploaded_file(self, channel: str, date: str, segment_id: str, form: RawFormat = RawFormat.PARQUET) -> P:
        """The file of a segment that a bucket has."""
        return self.uploaded_dir / _component(channel) / _date(date) / sealed_name(segment_id, form)

    def uploaded_manifest(self, date: str, segment_id: str) -> P:
        """The manifest of a segment that a bucket has; moved last."""
        return self.uploaded_dir / _date(date) / _file(segment_id, "json")

    def quarantine_file(self, channel: str, name: str) -> P:
        """Where a file called `name` of a channel goes when it cannot be used; its reason stands beside."""
        if Path(name).name != name or name in {"", ".", ".."} or "\0" in name:
            raise DataError(f"{name[:120]!r} is no file name", "name a file of one directory")
        return self.quarantine_dir / _component(channel) / name

    def manifests(self, segment_id: str) -> tuple[P, ...]:
        """Everywhere the manifest of a committed segment may stand, in the order of its life."""
        ready = self.ready_manifest(segment_id)
        date = parse_segment_id(segment_id).date
        return (
            ready,
            self.processing_manifest(segment_id),
            self.archive_manifest(date, segment_id),
            self.uploaded_manifest(date, segment_id),
            self.quarantine_dir / ready.name,
        )


def _date(date: str) -> str:
    if not _DATE.fullmatch(date):
        raise DataError(f"{date[:40]!r} is no date", "write it like 2024-08-08")
    return f"date={date}"
