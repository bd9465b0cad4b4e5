"""History: purging superseded runs, which Dagster itself never does, while every partition keeps its status."""

import re
import shutil
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from fluxforge_assets.defs.compaction import POOL
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.thinning import thin
from fluxforge_collector.config.model import Config

HISTORY_PURGE = "history_purge"
PAGE = 500
LOCK_SECONDS = 30.0
FREE_SHARE = 0.2
"""A database is packed once this share of it is free: free pages are used again, and packing holds a lock."""
_OWNED = ("ASSET_MATERIALIZATION", "ASSET_MATERIALIZATION_PLANNED", "ASSET_OBSERVATION")
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_SHARD = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.db")


class Purged(NamedTuple):
    """What a purge did."""

    deleted: int
    kept: int
    thinned: int
    """Events of the runs kept that the same run's later ones replace."""
    bytes_before: int
    bytes_after: int


def superseded(finished: Iterable[str], owners: Collection[str]) -> list[str]:
    """The finished runs that own the newest event of no partition and the newest evaluation of no check."""
    return [run for run in finished if run not in owners]


def purge(instance: dg.DagsterInstance, *, before: datetime) -> Purged:
    """Delete superseded runs that ended before a moment, with their logs. It may be interrupted and run again."""
    size = history_bytes(instance)
    finished = finished_runs(instance, before)
    gone = superseded(finished, owners(instance))
    for run in gone:
        instance.delete_run(run)
        shutil.rmtree(Path(instance.storage_directory()) / run, ignore_errors=True)
        instance.compute_log_manager.delete_logs(prefix=[run])
    sweep_shards(instance)
    kept = [run for run in finished if run not in set(gone)]
    thinned = thin(sql_storage(instance), kept)
    pack(instance)
    return Purged(len(gone), len(kept), thinned, size, history_bytes(instance))


def finished_runs(instance: dg.DagsterInstance, before: datetime) -> list[str]:
    """Runs that ended before a moment; those under way are not among them."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = instance.get_run_records(
            dg.RunsFilter(statuses=_FINISHED, updated_before=before), limit=PAGE, cursor=cursor
        )
        found += [record.dagster_run.run_id for record in page]
        if len(page) < PAGE:
            return found
        cursor = found[-1]


def owners(instance: dg.DagsterInstance) -> set[str]:
    """Runs that own the newest event of a kind of any partition, or the newest evaluation of any check."""
    events, checks = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c
    newest_events = (
        sa.select(sa.func.max(events.id))
        .where(events.dagster_event_type.in_(_OWNED))
        .group_by(events.asset_key, events.partition, events.dagster_event_type)
    )
    newest_checks = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
    with sql_storage(instance).index_connection() as connection:
        rows = [
            *connection.execute(sa.select(events.run_id).where(events.id.in_(newest_events)).distinct()),
            *connection.execute(sa.select(checks.run_id).where(checks.id.in_(newest_checks)).distinct()),
        ]
    return {row[0] for row in rows if row[0]}


def sql_storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    """The event log's database. Raises: dagster.Failure where it is in none."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise dg.Failure("the event log is in no SQL database: its history cannot be purged", allow_retries=False)
    return storage


def sweep_shards(instance: dg.DagsterInstance) -> None:
    """Delete the event files of runs that are no more: SQLite keeps one per run, which `delete_run` leaves."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return
    shards = {m[1] for path in _history(storage).glob("*.db") if (m := _SHARD.fullmatch(path.name))}
    for run in shards - set(instance.get_run_ids()):
        for path in _history(storage).glob(f"{run}.db*"):
            path.unlink(missing_ok=True)


def pack(instance: dg.DagsterInstance) -> None:
    """Give the disk back what deleted rows held, in databases of which much is free."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return
    for path in (_history(storage) / "index.db", _history(storage).parent / "runs.db"):
        with closing(sqlite3.connect(path, isolation_level=None, timeout=LOCK_SECONDS)) as connection:
            free, pages = (connection.execute(f"PRAGMA {n}").fetchone()[0] for n in ("freelist_count", "page_count"))
            if free > FREE_SHARE * pages:
                connection.execute("VACUUM")


def history_bytes(instance: dg.DagsterInstance) -> int:
    """Bytes of the run and event databases; 0 where they are not files."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return 0
    files = [*_history(storage).glob("*.db*"), *_history(storage).parent.glob("runs.db*")]
    return sum(path.stat().st_size for path in files)


def _history(storage: SqliteEventLogStorage) -> Path:
    return Path(storage.path_for_shard("any")).parent


def history_job(config: Config) -> dg.JobDefinition:
    """Purge superseded runs older than `retention.keep_run_days`."""

    @dg.op(pool=POOL)
    def purge_runs(context: dg.OpExecutionContext) -> None:
        """Delete superseded runs; every partition and check keeps the run that owns its newest event."""
        done = purge(context.instance, before=datetime.now(UTC) - timedelta(days=config.retention.keep_run_days))
        context.log.info("deleted %d runs, kept %d without %d events", done.deleted, done.kept, done.thinned)
        context.add_output_metadata(done._asdict())

    @dg.job(
        name=HISTORY_PURGE,
        executor_def=living_executor,
        description="Deletes superseded runs of Dagster's history; no partition loses its status.",
        tags={"fluxforge/kind": "maintenance"},
    )
    def history_purge() -> None:
        purge_runs()

    return history_purge


def history_schedule(config: Config, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Daily, two hours after compaction."""
    return dg.ScheduleDefinition(
        name="daily_history_purge",
        job=job,
        cron_schedule=f"10 {(config.compaction.hour + 2) % 24} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Keeps Dagster's databases from growing for ever.",
    )
