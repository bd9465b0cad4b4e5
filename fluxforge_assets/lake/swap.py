"""Putting a whole new partition in the place of the old one in a single step, so that no reader sees a mixture.

A reader who listed the old files and opens them after the step gets "no such file" and lists again; it never gets rows
twice or without their neighbours. Where the file system cannot exchange two names, the partition is absent for the
moment between two renames.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
from pathlib import Path

from fluxforge_collector.durable import make_directory, storage_errors, sync_directory

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
_BUILD = re.compile(r"build-(\d+)-[0-9a-f]+")


def new_directory(work: Path) -> Path:
    """A fresh hidden directory for building a partition; those of processes that died are swept first."""
    make_directory(work)
    for path in work.iterdir():
        match = _BUILD.fullmatch(path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            shutil.rmtree(path, ignore_errors=True)
    made = work / f"build-{os.getpid()}-{secrets.token_hex(6)}"
    made.mkdir()
    return made


def discard(made: Path) -> None:
    """Delete what was built and not used; what cannot be deleted is swept once this process has ended."""
    shutil.rmtree(made, ignore_errors=True)


def swap(new: Path, target: Path) -> None:
    """Make `new` the partition `target` and delete what stood there. Raises: StorageError where the system refuses."""
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
            shutil.rmtree(new)
        else:
            new.rename(target)
            sync_directory(target.parent)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two names atomically; False where the file system cannot. Raises: OSError for any other failure."""
    done = _LIBC.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    if done == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL}:
        return False
    raise OSError(code, os.strerror(code), str(second))
