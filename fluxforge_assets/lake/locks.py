"""Locks of the lake: one at a time changes a partition, or a source's archive. What they guard is not their business.

On one machine they are files, which the kernel lets go however a process ends. Where several machines write to one lake
they are Postgres's advisory locks, let go when the connection of their holder ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.durable import make_directory, storage_errors
from fluxforge_collector.errors import ConfigError, StorageError

_SETTINGS = {
    "connect_timeout": 10, "application_name": "fluxforge-locks",
    # a machine that went down without a word is noticed within a minute, by either side
    "keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    "options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}  # fmt: skip
_REMEDY = "see that the Postgres of lake.locks can be reached, then try again"
_kept = threading.local()


@contextmanager
def locked(lake: Lake, name: str) -> Iterator[None]:
    """Hold a named lock of the lake; it is let go when the process ends, however it ends. Take one lock at a time.

    Raises: StorageError where its file cannot be opened, or Postgres not be reached, or it was lost while it was held.
    """
    with _in_file(lake.work, name) if lake.locks is None else _in_postgres(lake.locks, f"{lake.root} {name}"):
        yield


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file's lock against other processes of this machine; its folder is made where it is not there.

    Raises: StorageError where the file cannot be opened.
    """
    with storage_errors(f"lock {path}"):
        make_directory(path.parent)
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _in_file(work: Path, name: str) -> AbstractContextManager[None]:
    """Names share a fixed number of files, so that a year of partitions leaves no litter."""
    return held(work / "locks" / hashlib.sha256(name.encode()).hexdigest()[:2])


@contextmanager
def _in_postgres(address: str, name: str) -> Iterator[None]:
    """A thread keeps one connection for its locks, one after the other."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    connection = _connection(address)
    try:
        _ask(connection, "select pg_advisory_lock(%s)", number)
    except connection.Error as error:
        _forget()
        raise StorageError(f"no lock of {name}: {_first_line(error)}", _REMEDY) from None
    try:
        yield
    except BaseException:
        with suppress(StorageError):
            _let_go(connection, number, name)
        raise
    _let_go(connection, number, name)


def _let_go(connection: Any, number: int, name: str) -> None:
    try:
        if _ask(connection, "select pg_advisory_unlock(%s)", number):
            return
        why = "Postgres does not know it any more"
    except connection.Error as error:
        why = _first_line(error)
    _forget()
    raise StorageError(f"the lock of {name} was lost while it was held: {why}", "do what held it again")


def _connection(address: str) -> Any:
    """This thread's connection, tried before it is used: Postgres may have been restarted since."""
    if getattr(_kept, "of", None) == (address, os.getpid()):
        try:
            _ask(_kept.connection, "select 1")
        except _kept.connection.Error:
            _forget()
        else:
            return _kept.connection
    try:
        import psycopg2  # noqa: PLC0415  only a cluster has it
    except ImportError:
        raise ConfigError(
            "lake.locks needs psycopg2", "install it with `pip install '.[cluster]'` in the checkout"
        ) from None
    try:
        connection = psycopg2.connect(address, **_SETTINGS)
    except psycopg2.Error as error:
        raise StorageError(f"the locks of the lake cannot be reached: {_first_line(error)}", _REMEDY) from None
    connection.autocommit = True
    _kept.of, _kept.connection = (address, os.getpid()), connection
    return connection


def _forget() -> None:
    """Close this thread's connection; the next lock opens another."""
    _kept.of = None
    with suppress(Exception):
        _kept.connection.close()


def _ask(connection: Any, query: str, *values: int) -> Any:
    with closing(connection.cursor()) as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()[0]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
