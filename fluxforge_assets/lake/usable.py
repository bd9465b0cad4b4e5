"""Whether a lake takes what a run would give it, asked before one is started that would only find out."""

from __future__ import annotations

from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.swap import discard, new_directory
from fluxforge_collector.durable import storage_errors
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.changes import delete, write

_PROBE = b"whether this lake can be used"


def check_usable(lake: Lake) -> None:
    """Write a small file, read it and delete it, under a lock. Raises: StorageError with the first thing refused."""
    file = lake.state / "probe"
    with storage_errors(f"use {lake.root}"), locked(lake, "probe"):
        discard(new_directory(lake.work))
        write(file, _PROBE)
        if file.read_bytes() != _PROBE:
            raise StorageError(f"{file} does not read back as written", "check the disk or the store")
        delete(file)
