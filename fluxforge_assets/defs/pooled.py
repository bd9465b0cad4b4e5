"""Dagster's tables in Postgres through connections that stay open; what the tables hold is Dagster's own.

Dagster opens a connection for every statement, so that instances leave none behind. Postgres answers each with a new
process, which costs it more than the statement does. Here a process has one pool for all its instances, one after the
other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config
from sqlalchemy import Engine

KEPT_CONNECTIONS = 2
MORE_CONNECTIONS = 20
"""Opened where threads need them at a time, and closed after."""
RECYCLE_SECONDS = 1800


class PooledStorage(DagsterPostgresStorage):
    """Runs, events and schedules in Postgres, over this process's pool."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pooled = _engine(self.postgres_url) if kwargs.get("token_provider") is None else None
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = pooled or storage._engine  # noqa: SLF001  as its `optimize_for_webserver` does

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledStorage:
        """The storage of a profile; one whose passwords are tokens that expire keeps Dagster's own connections."""
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )


@cache
def _engine(url: str) -> Engine:
    """The pool of a database. A connection is asked before it is used, so a restart of Postgres costs no statement."""
    engine = create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_recycle=RECYCLE_SECONDS,
        pool_pre_ping=True,
        pool_use_lifo=True,
    )
    # a connection belongs to one process: a fork leaves its parent's alone
    os.register_at_fork(after_in_child=lambda: engine.dispose(close=False))
    return engine
