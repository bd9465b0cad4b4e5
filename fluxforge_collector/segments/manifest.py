"""The manifest: a segment's commit record, what it must say and whether its files keep it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fluxforge_collector.durable import storage_errors
from fluxforge_collector.errors import DataError, ManifestError
from fluxforge_collector.instruments import path_safe
from fluxforge_collector.records import EVERY_SYMBOL
from fluxforge_collector.segments.names import DAY_US, RawFormat, format_of, parse_segment_id, sealed_name
from fluxforge_collector.segments.sealed import count_rows
from fluxforge_collector.storage.changes import write

if TYPE_CHECKING:
    from pathlib import Path

    from fluxforge_collector.storage.bucket import LakePath


_EVERY = f":{path_safe(EVERY_SYMBOL)}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class InstrumentEntry(_Entry):
    """One instrument's rows in a channel: how many, first and last capture time in microseconds."""

    rows: int = Field(ge=1)
    first_us: int
    last_us: int


class ChannelEntry(_Entry):
    """One channel of a segment; without rows it has no file, and is covered all the same."""

    file: str | None = None
    rows: int = Field(0, ge=0)
    bytes: int = Field(0, ge=0)
    sha256: str | None = None
    instruments: dict[str, InstrumentEntry] = Field(default_factory=dict)

    @property
    def form(self) -> RawFormat:
        """The format of the file."""
        return format_of(self.file or "") or RawFormat.PARQUET

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.file is None) != (self.rows == 0) or (self.file is None) != (self.sha256 is None):
            raise ValueError("a file, its rows and its sha256 come together")
        if sum(entry.rows for entry in self.instruments.values()) != self.rows:
            raise ValueError("the instruments' rows do not add up")
        return self


class Manifest(_Entry):
    """A committed segment covering capture times `[from_us, to_us)`, within one UTC date.

    `final` says that the collector ended in order after it; `gaps` is the number of gap rows.
    """

    id: str
    source: str
    collector: str
    from_us: int = Field(alias="from")
    to_us: int = Field(alias="to")
    final: bool = False
    channels: dict[str, ChannelEntry]
    gaps: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            name = parse_segment_id(self.id)
        except DataError as error:
            raise ValueError(str(error)) from error
        if (name.collector, name.start_us) != (self.collector, self.from_us):
            raise ValueError("the id was given to another collector or start")
        if not self.from_us < self.to_us or self.from_us // DAY_US != (self.to_us - 1) // DAY_US:
            raise ValueError("from and to do not enclose a range within one UTC date")
        for channel, entry in self.channels.items():
            if entry.file is not None and entry.file not in {sealed_name(self.id, form) for form in RawFormat}:
                raise ValueError(f"the file of channel {channel} is not this segment's")
        return self

    @property
    def date(self) -> str:
        """The segment's UTC date."""
        return parse_segment_id(self.id).date

    @property
    def instruments(self) -> set[str]:
        """Keys of the markets with rows in any channel; what concerns an exchange as a whole is none."""
        keys = {key for entry in self.channels.values() for key in entry.instruments}
        return {key for key in keys if not key.endswith(_EVERY)}

    @property
    def rows(self) -> int:
        """Rows of all channels together."""
        return sum(entry.rows for entry in self.channels.values())


def read_manifest(path: LakePath) -> Manifest:
    """The manifest in a file. Raises: ManifestError where it cannot be read or breaks its contract."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        why = error.strerror or error
        raise ManifestError(f"cannot read manifest {path}: {why}", "check the file's rights") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestError(
            f"manifest {path} is broken: {where + ': ' if where else ''}{first['msg']}",
            "restore it from a copy, or quarantine the segment",
        ) from error


def write_manifest(path: LakePath, manifest: Manifest) -> None:
    """Write a manifest atomically and durably. Raises: StorageError where the disk or the bucket refuses."""
    with storage_errors(f"write manifest {path}"):
        write(path, manifest.model_dump_json(by_alias=True, indent=1).encode() + b"\n")


def checksum_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_file(path: Path, entry: ChannelEntry) -> None:
    """Check one file against its entry: size, checksum, rows. Raises: ManifestError at the first difference."""
    remedy = "quarantine the segment; its journal is gone once a manifest stands"
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise ManifestError(f"{path} has {size} bytes, its manifest says {entry.bytes}", remedy)
        digest = checksum_file(path)
        if digest != entry.sha256:
            raise ManifestError(f"{path} has sha256 {digest[:12]}…, its manifest says {entry.sha256}", remedy)
        rows = count_rows(path)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"cannot read {path}: {error}", remedy) from error
    if rows != entry.rows:
        raise ManifestError(f"{path} has {rows} rows, its manifest says {entry.rows}", remedy)


def verify(manifest: Manifest, directory: Path) -> None:
    """Check a segment's files, `{directory}/{channel}/{file}`, against its manifest.

    Raises: ManifestError at the first file that is missing or differs in size, checksum or rows.
    """
    for channel, entry in manifest.channels.items():
        if entry.file is not None:
            verify_file(directory / channel / entry.file, entry)
