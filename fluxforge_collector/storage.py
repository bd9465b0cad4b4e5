"""Where a lake's objects are kept: the few operations both a directory and an object store can promise."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Protocol

from fluxforge_collector.durable import FILE_MODE, make_directory, storage_errors, sync_directory, write_all
from fluxforge_collector.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Store(Protocol):
    """Objects by key: relative paths with `/` between their parts. Every change is durable when the call returns.

    Raises: StorageError from every method, where the store refuses or the key would leave the root.
    """

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing any other."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object whole unless the key exists; whether it was written."""

    def get(self, key: str) -> bytes:
        """The bytes of an object."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys below a prefix, sorted; half-written objects are none."""

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted."""

    def move(self, source: str, target: str) -> None:
        """Give an object another key."""

    def checksum(self, key: str) -> str:
        """The SHA-256 of an object, in hexadecimal."""


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


class LocalStore:
    """A directory as a store. Changes are atomic for readers on one file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def path(self, key: str) -> Path:
        """Where the object stands. Raises: StorageError where the key is no plain relative path."""
        parts = key.split("/")
        if any(part in {"", ".", ".."} or "\0" in part or _is_temporary(part) for part in parts):
            raise StorageError(f"{key[:120]!r} is no key", "use a relative path without '.' and '..'")
        return self.root.joinpath(*parts)

    def _write_temporary(self, path: Path, data: bytes) -> Path:
        """The data, durable under a hidden name of its own beside `path`."""
        make_directory(path.parent)
        hidden = path.with_name(f".{secrets.token_hex(8)}.tmp")
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            write_all(fd, data)
            os.fsync(fd)
        except OSError:
            hidden.unlink()
            raise
        finally:
            os.close(fd)
        return hidden

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing any other."""
        path = self.path(key)
        with storage_errors(f"write {path}"):
            self._write_temporary(path, data).rename(path)
            sync_directory(path.parent)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object whole unless the key exists; whether it was written. Of several at once, one wins."""
        path = self.path(key)
        with storage_errors(f"write {path}"):
            hidden = self._write_temporary(path, data)
            try:
                path.hardlink_to(hidden)
            except FileExistsError:
                return False
            finally:
                hidden.unlink()
            sync_directory(path.parent)
            return True

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        path = self.path(key)
        with storage_errors(f"read {path}"):
            return path.read_bytes()

    def list(self, prefix: str = "") -> Iterator[str]:
        """The keys that begin with `prefix`, sorted; half-written objects are none."""
        base = self.path(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        with storage_errors(f"list {base}"):
            keys = [
                path.relative_to(self.root).as_posix()
                for path in base.rglob("*")
                if not _is_temporary(path.name) and path.is_file()
            ]
        yield from sorted(key for key in keys if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted."""
        path = self.path(key)
        with storage_errors(f"delete {path}"):
            if path.exists():
                path.unlink()
                sync_directory(path.parent)

    def move(self, source: str, target: str) -> None:
        """Give an object another key, replacing any object there; at every moment it is whole under one of the two."""
        old, new = self.path(source), self.path(target)
        with storage_errors(f"move {old} to {new}"):
            make_directory(new.parent)
            old.rename(new)
            sync_directory(new.parent)
            sync_directory(old.parent)

    def checksum(self, key: str) -> str:
        """The SHA-256 of an object, in hexadecimal."""
        path = self.path(key)
        with storage_errors(f"read {path}"), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
