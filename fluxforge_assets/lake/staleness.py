"""Which stored partitions were computed under another configuration or code than the one that holds now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.parts import parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import stored_places
from fluxforge_collector.errors import DataError

ATTEMPTS = 5

Versions = Mapping[tuple[str, str], str]
"""The fingerprint last recorded of a partition, by date and instrument key."""


class Staleness(NamedTuple):
    """A dataset's stored partitions that the filter let through: how many, and those to compute again."""

    dataset: Dataset
    stored: int
    stale: tuple[Place, ...]


def staleness(
    lake: Lake, dataset: Dataset, current: str, *, versions: Versions, wants: Callable[[Place], bool]
) -> Staleness:
    """The stored partitions whose fingerprint is not `current`.

    A recorded version is believed, which spares opening the partition; without one the newest part itself tells.
    """
    stored, stale = 0, []
    for place in stored_places(lake, dataset):
        if not wants(place):
            continue
        version = versions.get((place.date, place.instrument.key)) or fingerprint_of(lake, dataset, place)
        if version is not None:
            stored += 1
            if version != current:
                stale.append(place)
    return Staleness(dataset, stored, tuple(sorted(stale, key=lambda p: (p.date, p.instrument.key, p.source))))


def fingerprint_of(lake: Lake, dataset: Dataset, place: Place) -> str | None:
    """What the newest part says of its making; None for a partition without parts. Raises: DataError."""
    directory = lake.partition(place, dataset.folder)
    last: Exception | None = None
    for _ in range(ATTEMPTS):
        parts = parts_of(directory)
        if not parts:
            return None
        try:
            return read_provenance(directory / max(parts, key=lambda part: part.to_us).name).fingerprint
        except (DataError, FileNotFoundError) as error:
            # the partition may have been replaced between listing and opening
            last = error
    raise DataError(f"{directory} cannot be read: {last}", "try again when no backfill is running") from last
