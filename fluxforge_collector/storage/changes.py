"""Changing files of a lake, durably, whether it is a directory or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from fluxforge_collector.durable import (
    make_directory,
    storage_errors,
    sync_directory,
    sync_file,
    write_file,
    write_shared_file,
)
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.bucket import BucketPath, LakePath

AT_ONCE = 4
"""How many changes of a bucket are under way at a time: most of each is waiting for its answer."""
Thing = TypeVar("Thing")


def for_each(where: LakePath, do: Callable[[Thing], object], things: Iterable[Thing]) -> None:
    """Do it to each, in a bucket to a few at a time. Raises: the first error, once nothing is under way."""
    if isinstance(where, Path):
        for thing in things:
            do(thing)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(do, things))


def write(path: LakePath, data: bytes, *, is_shared: bool = False) -> None:
    """Write a small file whole, replacing any other; several may write a shared one at a time."""
    if isinstance(path, BucketPath):
        path.write_bytes(data)
        return
    with storage_errors(f"write {path}"):
        if is_shared:
            write_shared_file(path, data)
        else:
            write_file(path, data)


def move(source: LakePath, target: LakePath) -> None:
    """Move a file that may have been moved before. Raises: StorageError."""
    try:
        if isinstance(source, BucketPath) and isinstance(target, BucketPath):
            source.rename(target)
        elif isinstance(source, Path) and isinstance(target, Path):
            _rename(source, target)
        else:
            raise StorageError(f"{source} and {target} are not in one lake", "report this as a defect")
    except FileNotFoundError:
        return


def delete(file: LakePath) -> None:
    """Delete a file; one that is not there is deleted. Raises: StorageError."""
    if isinstance(file, BucketPath):
        file.unlink(missing_ok=True)
        return
    with storage_errors(f"delete {file}"):
        if file.exists():
            file.unlink()
            sync_directory(file.parent)


def publish(file: Path, target: LakePath) -> None:
    """Give a whole local file its place in the lake, durably; it is gone from where it was written."""
    if isinstance(target, BucketPath):
        target.store.send(file, target.key)
        file.unlink()
        return
    with storage_errors(f"publish {target}"):
        sync_file(file)
        _rename(file, target)


def _rename(source: Path, target: Path) -> None:
    try:
        make_directory(target.parent)
        source.rename(target)
        sync_directory(target.parent)
        sync_directory(source.parent)
    except FileNotFoundError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise StorageError(f"cannot move {source} to {target}: {why}", "check space and rights of the root") from error
