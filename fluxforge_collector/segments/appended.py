"""A file that only grows: what was appended survives any death, and a failed append leaves nothing behind."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from fluxforge_collector.durable import FILE_MODE, make_directory, storage_errors, sync_directory, write_all

if TYPE_CHECKING:
    from pathlib import Path


class AppendedFile:
    """A file created new with its first bytes: an older one is never written to again.

    Raises: StorageError where the disk refuses, from the constructor and `append`; what was appended before is not
    harmed, and the append may be tried again.
    """

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.bytes = 0
        self._is_torn = False
        with storage_errors(f"create journal {path}"):
            make_directory(path.parent)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            self.append(header)
            with storage_errors(f"create journal {path}"):
                sync_directory(path.parent)
        except BaseException:
            self.close()
            path.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        """Append some bytes and force them to the disk."""
        with storage_errors(f"write journal {self.path}"):
            try:
                if self._is_torn:
                    self._heal()
                write_all(self._fd, data)
                os.fsync(self._fd)
            except OSError:
                # What comes later must not follow a torn end; after a failed fsync nothing on disk is certain either.
                self._is_torn = True
                with suppress(OSError):
                    self._heal()
                raise
        self.bytes += len(data)

    def _heal(self) -> None:
        """Cut the file back to its last whole append."""
        os.ftruncate(self._fd, self.bytes)
        os.lseek(self._fd, self.bytes, os.SEEK_SET)
        self._is_torn = False

    def close(self) -> None:
        """Close the file; its bytes stay."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
