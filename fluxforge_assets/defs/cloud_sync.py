"""The asset of the other side: its materialisation copies the lake's closed files to `sync.remote`."""

from dataclasses import asdict
from typing import Any

import dagster as dg

from fluxforge_assets.defs.compaction import POOL
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.metadata import OWNERS
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.bucket import open_store
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

CLOUD_SYNC = "cloud_sync"
ASSET = dg.AssetKey(["maintenance", CLOUD_SYNC])
SHOWN_FAILURES = 10


def cloud_sync_asset(config: Config) -> dg.AssetsDefinition:
    """The lake's copy; each materialisation says what was copied."""

    @dg.asset(
        key=ASSET,
        description="The lake's closed files at `sync.remote`: compared by size and checksum, copied, verified.",
        group_name="maintenance",
        owners=OWNERS,
        kinds={"s3"},
        tags={"layer": "maintenance"},
        pool=POOL,
    )
    def cloud_sync(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        if config.sync.remote is None:
            raise dg.Failure("there is no other side to sync with — set sync.remote", allow_retries=False)
        try:
            done = sync(
                open_store(config.lake.root, config.storage),
                open_store(config.sync.remote, config.storage),
                wanted=Filter(config.sync.include, config.sync.exclude),
                workers=config.storage.workers,
                deletes=config.sync.delete,
            )
        except StorageError as error:
            raise dg.Failure(str(error)) from None
        for key, why in sorted(done.failed.items())[:SHOWN_FAILURES]:
            context.log.error("%s: %s", key, why)
        if done.failed:
            raise dg.Failure(f"{len(done.failed)} files could not be copied; what was is not copied again")
        shown: dict[str, Any] = {name: value for name, value in asdict(done).items() if name != "failed"}
        return dg.MaterializeResult(metadata={**shown, "remote": config.sync.remote})

    return cloud_sync


def cloud_sync_job() -> Any:
    """Materialise the copy."""
    return dg.define_asset_job(
        CLOUD_SYNC,
        selection=dg.AssetSelection.assets(ASSET),
        executor_def=living_executor,
        description="Copies closed files to sync.remote. Started daily; `fluxforge sync upload` does it now.",
        tags={"fluxforge/kind": "maintenance"},
    )


def cloud_sync_schedule(config: Config, job: Any) -> dg.ScheduleDefinition:
    """Daily at `sync.hour`."""

    @dg.schedule(
        job=job,
        name="daily_cloud_sync",
        cron_schedule=f"10 {config.sync.hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Copies what closed since yesterday to sync.remote; without one nothing runs.",
    )
    def daily_cloud_sync() -> dg.RunRequest | dg.SkipReason:
        if config.sync.remote is None:
            return dg.SkipReason("sync.remote is not set")
        return dg.RunRequest()

    return daily_cloud_sync
