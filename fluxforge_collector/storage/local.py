"""A directory as a store. Changes are atomic for readers on one file system."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fluxforge_collector.durable import FILE_MODE, make_directory, storage_errors, sync_directory, sync_file, write_all
from fluxforge_collector.errors import MissingError, StorageError
from fluxforge_collector.storage import Entry, is_temporary


class LocalStore:
    """The files below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    def __str__(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Where the object stands. Raises: StorageError where the key is no plain relative path."""
        parts = key.split("/")
        if any(part in {"", ".", ".."} or "\0" in part or is_temporary(part) for part in parts):
            raise StorageError(f"{key[:120]!r} is no key", "use a relative path without '.' and '..'")
        return self.root.joinpath(*parts)

    def _existing(self, key: str) -> Path:
        path = self.path(key)
        if not path.is_file():
            raise MissingError(f"no such file: {path}", "check the lake's root")
        return path

    def _hidden(self, path: Path) -> Path:
        """A hidden name of its own beside `path`."""
        make_directory(path.parent)
        return path.with_name(f".{secrets.token_hex(8)}.tmp")

    def _write_hidden(self, path: Path, data: bytes) -> Path:
        """The data, durable under a hidden name of its own beside `path`."""
        hidden = self._hidden(path)
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
            self._write_hidden(path, data).rename(path)
            sync_directory(path.parent)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object whole unless the key exists; whether it was written. Of several at once, one wins."""
        path = self.path(key)
        with storage_errors(f"write {path}"):
            hidden = self._write_hidden(path, data)
            try:
                path.hardlink_to(hidden)
            except FileExistsError:
                return False
            finally:
                hidden.unlink()
            sync_directory(path.parent)
            return True

    def send(self, file: Path, key: str) -> None:
        """Copy a local file in, whole and durable, and compare what was written."""
        copy(file, self.path(key))

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        path = self._existing(key)
        with storage_errors(f"read {path}"):
            return path.read_bytes()

    def fetch(self, key: str, file: Path) -> None:
        """Copy an object out, whole and durable, and compare what was written."""
        copy(self._existing(key), file)

    def head(self, key: str) -> Entry | None:
        """What a listing would tell of an object; None where there is none."""
        path = self.path(key)
        with storage_errors(f"look at {path}"):
            return self._entry(path) if path.is_file() else None

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix`, sorted; half-written ones are none."""
        base = self.path(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        with storage_errors(f"list {base}"):
            entries = sorted(entry for entry in self._below(base) if entry.key.startswith(prefix))
        yield from entries

    def _below(self, base: Path) -> Iterator[Entry]:
        """The files below a directory, whatever comes and goes there meanwhile."""
        for folder, _, names in os.walk(base, onerror=_raise_unless_gone):
            for name in names:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    if not is_temporary(name) and path.is_file():
                        yield self._entry(path)

    def _entry(self, path: Path) -> Entry:
        stat = path.stat()
        return Entry(path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime)

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted."""
        path = self.path(key)
        with storage_errors(f"delete {path}"):
            if path.exists():
                path.unlink()
                sync_directory(path.parent)

    def move(self, source: str, target: str) -> None:
        """Give an object another key, replacing any object there; at every moment it is whole under one of the two."""
        old, new = self._existing(source), self.path(target)
        with storage_errors(f"move {old} to {new}"):
            make_directory(new.parent)
            old.rename(new)
            sync_directory(new.parent)
            sync_directory(old.parent)

    def checksum(self, key: str) -> str:
        """The SHA-256 of an object, in hexadecimal."""
        path = self._existing(key)
        with storage_errors(f"read {path}"):
            return sha256_of(path)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def sha256_of(file: Path) -> str:
    """The SHA-256 of a local file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy a file under a hidden name, durably, compare, and give it its name. Raises: StorageError."""
    with storage_errors(f"copy {source} to {target}"):
        make_directory(target.parent)
        hidden = target.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            shutil.copyfile(source, hidden)
            sync_file(hidden)
            if sha256_of(hidden) != sha256_of(source):
                raise StorageError(f"{target} did not arrive as {source} is", "check the disk")
            hidden.rename(target)
        finally:
            hidden.unlink(missing_ok=True)
        sync_directory(target.parent)
