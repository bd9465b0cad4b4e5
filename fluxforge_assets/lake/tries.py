"""Tries: how often a partition or segment of a date failed in a row, and why; in a file, so that no restart forgets.

A partition that failed `etl.max_tries` times is set aside: real-time runs leave it alone until materialising it
succeeds. A segment that did goes to quarantine.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_collector.errors import DataError
from fluxforge_collector.storage.changes import write


class Try(NamedTuple):
    """Failures in a row, and what the last one said."""

    failures: int
    error: str


def tries(lake: Lake, source: str, date: str) -> dict[str, Try]:
    """The failing partitions of a date, by `{asset} {instrument}`. Raises: DataError where the file is broken."""
    path = lake.state / "tries" / f"{source}.{date}.json"
    try:
        found = json.loads(path.read_bytes())
        return {str(name): Try(int(known["failures"]), str(known["error"])) for name, known in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "delete it: what keeps failing is then tried anew"
        ) from error


def count_failure(lake: Lake, source: str, date: str, name: str, error: str) -> int:
    """Add a failure, durably; how many there are now in a row."""
    known = tries(lake, source, date)
    known[name] = Try(known[name].failures + 1 if name in known else 1, error)
    _write(lake, source, date, known)
    return known[name].failures


def forget(lake: Lake, source: str, date: str, name: str) -> None:
    """It succeeded, and starts from nothing."""
    known = tries(lake, source, date)
    if known.pop(name, None) is not None:
        _write(lake, source, date, known)


def forget_all(lake: Lake, source: str, date: str) -> None:
    """What made partitions of a date fail is gone: all are tried anew."""
    _write(lake, source, date, {})


def name_of(asset: str, place: Place) -> str:
    """How a partition is called here."""
    return f"{asset} {place.instrument.key}"


def segment_name(segment: str) -> str:
    """How a segment is called here."""
    return f"segment {segment}"


def _write(lake: Lake, source: str, date: str, known: dict[str, Try]) -> None:
    path = lake.state / "tries" / f"{source}.{date}.json"
    if known:
        write(path, json.dumps({name: one._asdict() for name, one in known.items()}, indent=1).encode(), is_shared=True)
    else:
        path.unlink(missing_ok=True)
