"""Tries: how often each partition of a date has failed in a row, and why, kept in a file so that no restart forgets it.

One that failed `etl.max_tries` times is set aside: real-time runs leave it alone until materialising it succeeds.
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


def count_failure(lake: Lake, asset: str, place: Place, error: str) -> int:
    """Add a failure of a partition, durably; how many there are now in a row."""
    known = tries(lake, place.source, place.date)
    name = name_of(asset, place)
    known[name] = Try(known[name].failures + 1 if name in known else 1, error)
    _write(lake, place, known)
    return known[name].failures


def forget(lake: Lake, asset: str, place: Place) -> None:
    """A partition succeeded: it starts from nothing."""
    known = tries(lake, place.source, place.date)
    if known.pop(name_of(asset, place), None) is not None:
        _write(lake, place, known)


def name_of(asset: str, place: Place) -> str:
    """How a partition is called here."""
    return f"{asset} {place.instrument.key}"


def _write(lake: Lake, place: Place, known: dict[str, Try]) -> None:
    path = lake.state / "tries" / f"{place.source}.{place.date}.json"
    if known:
        write(path, json.dumps({name: one._asdict() for name, one in known.items()}, indent=1).encode())
    else:
        path.unlink(missing_ok=True)
