"""Thinning the runs that the purge keeps: of a partition that a run told of many times, its last word stays.

A real-time run tells of each partition a dozen times an hour, and what it said last holds what it said before. Which
runs stay at all is decided in `history`.
"""

import sqlite3
from collections.abc import Collection
from contextlib import closing

import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

LOCK_SECONDS = 30.0
_TOLD = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")


def thin(storage: SqlEventLogStorage, runs: Collection[str]) -> int:
    """Delete what these finished runs said of a partition before their last word on it; how many events."""
    return sum(_thin_run(storage, run) for run in runs)


def _thin_run(storage: SqlEventLogStorage, run: str) -> int:
    with storage.index_connection() as connection:
        gone = connection.execute(_superseded(run)).scalars().all()
        if not gone:
            return 0
        connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(_superseded(run))))
        connection.execute(_deleted(run))
    if isinstance(storage, SqliteEventLogStorage):  # which keeps every event twice: by run, and of all assets
        with storage.run_connection(run) as connection:
            connection.execute(_deleted(run))
        with closing(sqlite3.connect(storage.path_for_shard(run), isolation_level=None, timeout=LOCK_SECONDS)) as file:
            file.execute("VACUUM")
    return len(gone)


def _superseded(run: str) -> sa.Select[tuple[int]]:
    """The ids of a run's events that a later one of it replaces."""
    events = SqlEventLogStorageTable.c
    is_told = sa.and_(events.run_id == run, events.dagster_event_type.in_(_TOLD))
    newest = (
        sa.select(sa.func.max(events.id))
        .where(is_told)
        .group_by(events.asset_key, events.partition, events.dagster_event_type)
    )
    return sa.select(events.id).where(is_told, events.id.not_in(newest))


def _deleted(run: str) -> sa.Delete:
    return sa.delete(SqlEventLogStorageTable).where(SqlEventLogStorageTable.c.id.in_(_superseded(run)))
