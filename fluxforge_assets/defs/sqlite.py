"""Dagster's tables in SQLite, made by one process at a time; what they hold is Dagster's own.

The code server and the daemon of a new home start at the same moment, and each makes what it does not find. Dagster's
own storage then now and then records two versions of one database, and nothing opens it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from fluxforge_assets.lake.locks import held


class SharedStorage(DagsterSqliteStorage):
    """Runs, events and schedules in SQLite, of a home that several processes may open first."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with held(Path(base_dir) / ".lock"):
            super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SharedStorage:
        """The storage of a profile."""
        return cls(inst_data=inst_data, **config_value)
