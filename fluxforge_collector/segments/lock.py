"""The lock of a living collector: one of its name per source and lake; the kernel frees it at any death."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from fluxforge_collector.durable import FILE_MODE, make_directory, storage_errors
from fluxforge_collector.errors import StorageError

if TYPE_CHECKING:
    from fluxforge_collector.segments.names import SourcePaths


class CollectorLock:
    """Held from construction to `release`. Raises: StorageError where another process holds it."""

    def __init__(self, paths: SourcePaths, collector: str) -> None:
        path = paths.lock(collector)
        with storage_errors(f"lock {path}"):
            make_directory(path.parent)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise StorageError(
                f"collector {collector!r} already writes source {paths.source!r} below {paths.root}",
                "stop it, or give this one another ingestion.collector",
            ) from error

    def release(self) -> None:
        """Let another collector take the name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
