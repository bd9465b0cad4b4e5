"""Tries: how often a partition or segment of a date failed in a row, and why; in files, so that no restart forgets.

A partition that failed `etl.max_tries` times is set aside: real-time runs leave it alone until materialising it
succeeds. A segment that did goes to quarantine. Each has a file of its own, and whoever changes it holds the lock of
what it is about: a run that counts one must not bring back what another has just forgotten.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import NamedTuple

from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_collector.errors import DataError
from fluxforge_collector.storage.bucket import LakePath, matching
from fluxforge_collector.storage.changes import write


class Try(NamedTuple):
    """Failures in a row, and what the last one said."""

    failures: int
    error: str


def tries(lake: Lake, source: str, date: str) -> dict[str, Try]:
    """The failing partitions and segments of a date, by their names here. Raises: DataError where a file is broken."""
    return dict(known for path in _files(lake, source, date) if (known := _read(path)))


def count_failure(lake: Lake, source: str, date: str, name: str, error: str) -> int:
    """Add a failure, durably; how many there are now in a row."""
    path = _file(lake, source, date, name)
    _, before = _read(path) or (name, Try(0, ""))
    known = Try(before.failures + 1, error)
    write(path, json.dumps({"name": name, **known._asdict()}, indent=1).encode(), is_shared=True)
    return known.failures


def forget(lake: Lake, source: str, date: str, name: str) -> None:
    """It succeeded, and starts from nothing."""
    _file(lake, source, date, name).unlink(missing_ok=True)


def forget_all(lake: Lake, source: str, date: str) -> None:
    """What made partitions of a date fail is gone: all are tried anew."""
    for path in _files(lake, source, date):
        path.unlink(missing_ok=True)


def name_of(asset: str, place: Place) -> str:
    """How a partition is called here."""
    return f"{asset} {place.instrument.key}"


def segment_name(segment: str) -> str:
    """How a segment is called here."""
    return f"segment {segment}"


def _files(lake: Lake, source: str, date: str) -> list[LakePath]:
    return matching(lake.state / "tries", f"{source}.{date}.*.json")


def _file(lake: Lake, source: str, date: str, name: str) -> LakePath:
    """Its file: a name may be longer than a file's, so it stands inside."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return lake.state / "tries" / f"{source}.{date}.{digest}.json"


def _read(path: LakePath) -> tuple[str, Try] | None:
    """The name and its failures; None where there are none, or not any more."""
    with suppress(FileNotFoundError):
        try:
            known = json.loads(path.read_bytes())
            return str(known["name"]), Try(int(known["failures"]), str(known["error"]))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path} cannot be read: {error}", "delete it: what keeps failing is then tried anew"
            ) from error
    return None
