"""The sign of life a collector leaves in the lake every few seconds. Nothing is judged here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from fluxforge_collector.durable import FILE_MODE, temporary
from fluxforge_collector.errors import DataError


class StreamSeen(NamedTuple):
    """A stream, when it was first asked for and its last record's capture time; microseconds since the epoch."""

    exchange: str
    symbol: str
    channel: str
    asked_us: int
    last_us: int | None


class Heartbeat(BaseModel):
    """A collector as it was at `at_us`; times are microseconds since the epoch.

    `stopped` says that it ended in order; `why_not_ready` holds since `not_ready_since_us`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    source: str
    collector: str
    version: str
    host: str
    pid: int
    started_us: int
    at_us: int
    stopped: bool = False
    why_not_ready: tuple[str, ...] = ()
    why_not_sent: str | None = None
    not_ready_since_us: int | None = None
    queue_records: int = 0
    queue_limit_records: int = 0
    lost_records: int = 0
    reconnects: int = 0
    gaps: dict[str, int] = {}
    refused: tuple[str, ...] = ()
    streams: tuple[StreamSeen, ...] = ()


def leave(path: Path, heartbeat: Heartbeat) -> None:
    """Write a sign of life: not forced to the disk, for after a power cut it would be old anyway.

    On a full disk the blocks of the one before are written over. Raises: OSError where not even that is possible.
    """
    data = heartbeat.model_dump_json().encode() + b"\n"
    try:
        hidden = temporary(path)
        hidden.write_bytes(data)
        hidden.chmod(FILE_MODE)
        hidden.rename(path)
    except OSError:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(fd, os.pwrite(fd, data, 0))
        finally:
            os.close(fd)


def read_heartbeat(path: Path) -> Heartbeat:
    """A sign of life. Raises: DataError where it cannot be read."""
    try:
        return Heartbeat.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no sign of life"
        raise DataError(f"cannot read {path}: {why}", "delete it; a living collector writes it again") from error


def heartbeats(root: Path) -> list[Path]:
    """The signs of life of every collector of a lake, sorted."""
    return sorted((root / "raw" / "active").glob("*/.*.heartbeat.json"))
