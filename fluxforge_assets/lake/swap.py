"""Putting a whole new partition in the place of the old one in a single step, so that no reader sees a mixture.

A reader who listed the old files and opens them after the step gets "no such file" and lists again; it never gets rows
twice or without their neighbours. What was replaced stays whole for a while, out of sight: a reader in the midst of
listing it must not take a shrinking rest for everything. Where the file system cannot exchange two names, the partition
is absent for the moment between two renames. In a bucket nothing can be exchanged: see `replacing`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from fluxforge_assets.lake.replacing import KEPT, remove, replace
from fluxforge_collector.durable import make_directory, storage_errors, sync_directory
from fluxforge_collector.storage.bucket import LakePath

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
GRACE_SECONDS = 10.0
"""How long a listing may take."""
_RETIRED = re.compile(r"retired-(\d+)-[0-9a-f]+")
_BUILD = re.compile(r"build-(\d+)-[0-9a-f]+")


def new_directory(work: Path) -> Path:
    """A fresh hidden directory for building a partition.

    Swept first: what processes that died were building, and what was replaced a while ago.
    """
    make_directory(work)
    for path in work.iterdir():
        built, retired = _BUILD.fullmatch(path.name), _RETIRED.fullmatch(path.name)
        is_dead = built is not None and not Path(f"/proc/{built[1]}").exists()
        if is_dead or (retired is not None and time.time() - int(retired[1]) > GRACE_SECONDS):
            shutil.rmtree(path, ignore_errors=True)
    made = work / f"build-{os.getpid()}-{secrets.token_hex(6)}"
    made.mkdir()
    return made


def discard(made: Path) -> None:
    """Delete what was built and not used; what cannot be deleted is swept once this process has ended."""
    shutil.rmtree(made, ignore_errors=True)


def keep(file: LakePath, new: Path) -> None:
    """Let a file of the old partition be one of the new."""
    if isinstance(file, Path):
        os.link(file, new / file.name)
    else:
        (new / f"{file.name}{KEPT}").touch()


def swap(new: Path, target: LakePath) -> None:
    """Make `new` the partition `target`; what stood there is swept later. Raises: StorageError where that fails."""
    if not isinstance(target, Path):
        replace(new, target)
        discard(new)
        return
    with storage_errors(f"replace {target}"):
        make_directory(target.parent)
        sync_directory(new)
        if target.exists():
            if not exchange(new, target):
                old = new.with_name(f"{new.name}-old")
                target.rename(old)
                new.rename(target)
                new = old
            sync_directory(target.parent)
            new.rename(new.with_name(f"retired-{int(time.time())}-{secrets.token_hex(6)}"))
        else:
            new.rename(target)
            sync_directory(target.parent)


def take_away(target: LakePath, work: Path) -> None:
    """Delete a partition, in one step for its readers. Raises: StorageError."""
    if not isinstance(target, Path):
        remove(target)
        return
    made = new_directory(work)
    try:
        with storage_errors(f"delete {target}"):
            if target.exists():
                target.rename(made / "gone")
                sync_directory(target.parent)
    finally:
        discard(made)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two names atomically; False where the file system cannot. Raises: OSError for any other failure."""
    done = _LIBC.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    if done == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL}:
        return False
    raise OSError(code, os.strerror(code), str(second))
