"""Retention: the daily job that deletes what the rules name, where there are rules."""

import time

import dagster as dg

from fluxforge_assets.defs.compaction import POOL
from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.lake.retention import Expired, delete, expired
from fluxforge_collector.config.model import Config

RETENTION = "retention"


def retention_job(config: Config) -> dg.JobDefinition:
    """Delete the partitions that the rules name."""

    @dg.op(pool=POOL)
    @failing_plainly()
    def delete_expired(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        """Delete what a rule names, and say what stays although one does."""
        opened = lake.open()
        places, size = 0, 0
        for one in expired(opened, config.retention, now_us=time.time_ns() // 1000):
            if isinstance(one, Expired):
                delete(opened, one)
                places, size = places + 1, size + one.size
                context.log.info("deleted %s %s (%s)", one.what, one.partition, one.rule)
            else:
                context.log.warning("%s %s stays, though %s: %s", one.what, one.partition, one.rule, one.reason)
        context.add_output_metadata({"partitions": places, "bytes": size})

    @dg.job(
        name=RETENTION,
        executor_def=living_executor,
        description="Deletes what the retention rules name; `fluxforge retention` shows it first.",
        tags={"fluxforge/kind": "maintenance"},
    )
    def retention() -> None:
        delete_expired()

    return retention


def retention_schedule(config: Config, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Daily, an hour after compaction."""

    @dg.schedule(
        job=job,
        name="daily_retention",
        cron_schedule=f"10 {(config.compaction.hour + 1) % 24} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Deletes what the retention rules name; without a rule nothing runs.",
    )
    def daily_retention() -> dg.RunRequest | dg.SkipReason:
        if not config.retention.has_rule:
            return dg.SkipReason("no rule is set: everything is kept")
        return dg.RunRequest()

    return daily_retention
