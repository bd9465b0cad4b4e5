"""Writing so that it lasts: bytes, names and directories forced to the disk. No format is known here."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fluxforge_collector.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_MODE = 0o640


@contextmanager
def storage_errors(action: str) -> Iterator[None]:
    """Turn what the operating system refuses into a StorageError that says what was attempted."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(f"cannot {action}: {why}", "check space and rights of the lake's root") from error


def sync_directory(directory: Path) -> None:
    """Force a directory's names to the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(directory: Path) -> None:
    """Make a directory and its missing parents, their names durable."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte: a single write may take only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk and give it the lake's mode."""
    fd = os.open(path, os.O_RDWR)
    try:
        os.fchmod(fd, FILE_MODE)
        os.fsync(fd)
    finally:
        os.close(fd)


def temporary(path: Path) -> Path:
    """The hidden name a file bears until it is whole; readers of a dataset pass over it."""
    return path.with_name(f".{path.name}.tmp")


def publish(path: Path, hidden: Path | None = None) -> None:
    """Give the whole file written under its temporary name, or another hidden one, its own name, durably."""
    hidden = hidden or temporary(path)
    sync_file(hidden)
    hidden.rename(path)
    sync_directory(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a small file atomically and durably: it is there whole, or not at all. Only one may write it at a time."""
    make_directory(path.parent)
    temporary(path).write_bytes(data)
    publish(path)


def write_shared_file(path: Path, data: bytes) -> None:
    """As `write_file`, for one that several may write at a time; the last one counts."""
    make_directory(path.parent)
    hidden = temporary(path.with_name(f"{path.name}.{secrets.token_hex(4)}"))
    try:
        hidden.write_bytes(data)
        publish(path, hidden)
    finally:
        hidden.unlink(missing_ok=True)
