"""Dagster's tables in SQLite, made by one process at a time; what they hold is Dagster's own.

The code server and the daemon of a new home start at the same moment, and each makes what it does not find. Dagster's
own storage then now and then records two versions of one database, and nothing opens it again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from fluxforge_collector.durable import make_directory


class SharedStorage(DagsterSqliteStorage):
    """Runs, events and schedules in SQLite, of a home that several processes may open first."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with _one_at_a_time(Path(base_dir)):
            super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SharedStorage:
        """The storage of a profile."""
        return cls(inst_data=inst_data, **config_value)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    make_directory(folder)
    fd = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
