"""Deleting processed partitions for good. Raw is never touched: from it they can be computed again."""

from __future__ import annotations

from pathlib import Path

from fluxforge_assets.lake.advance import lock_name
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.replacing import files_of
from fluxforge_assets.lake.swap import take_away
from fluxforge_collector.storage.bucket import LakePath


def prune(lake: Lake, dataset: Dataset, place: Place) -> int:
    """Delete a partition in one step for every reader; the bytes it took. Raises: StorageError."""
    directory = lake.partition(place, dataset.folder)
    with locked(lake, lock_name(dataset, place)):
        freed = size_of(directory)
        take_away(directory, lake.work)
        if isinstance(directory, Path):
            _drop_empty(directory.parent, lake.dataset(place.source, dataset.folder))
    return freed


def size_of(directory: LakePath) -> int:
    """Bytes of a partition's files."""
    return sum(file.stat().st_size for file in files_of(directory) if file.is_file())


def _drop_empty(folder: Path, root: LakePath) -> None:
    """Remove the symbol's and the exchange's folder where nothing is left in them."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
