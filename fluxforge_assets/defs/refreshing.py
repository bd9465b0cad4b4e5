"""The refresh: labels and the gold tables beside the bars, every few minutes, where silver has changed.

They are apart from the real-time job because they may be late by minutes and must not make bars late.
"""

import dagster as dg

from fluxforge_assets.defs import staleness
from fluxforge_assets.defs.checks import evaluations
from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.processed import of_realtime
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.defs.under_way import is_under_way
from fluxforge_assets.lake.archive import archives_of
from fluxforge_assets.lake.compaction import NotCompacted
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.paths import Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.refresh import gold_marks, refresh
from fluxforge_assets.lake.tidying import Untidy
from fluxforge_assets.lake.update import Failed
from fluxforge_collector.config.model import Config

REFRESH = "gold_refresh"
DUE_US = 3_600_000_000
"""A partition is judged about this often."""


def refresh_job(config: Config) -> dg.JobDefinition:
    """Append to the gold tables what became final; late silver builds its range again."""

    @dg.op(pool="gold")
    @failing_plainly()
    def refresh_gold(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        """Advance the partitions that read what changed."""
        opened = lake.open()
        archives = archives_of(opened)
        failed: list[str] = []
        untidy = Untidy(opened, config.compaction)
        due: dict[Dataset, list[Place]] = {}
        newest: dict[Dataset, Place] = {}
        for outcome in refresh(opened, config, gold_marks(opened)):
            if isinstance(outcome, Failed):
                failed.append(f"{outcome.asset} {outcome.place.date}|{outcome.place.instrument.key}: {outcome.error}")
                context.log.error(failed[-1])
                continue
            context.log_event(of_realtime(opened, outcome, archives[outcome.place.source]))
            untidy.changed(outcome)
            newest[outcome.dataset] = outcome.place
            if _is_due(outcome):
                due.setdefault(outcome.dataset, []).append(outcome.place)
        for dataset, place in newest.items():
            # at least one partition of each asset: what earlier runs found is no longer shown once this one tells of it
            judged = evaluations(opened, config, dataset, due.get(dataset, [place]), archives)
            for found in (*judged, staleness.evaluation(context.instance, opened, config, dataset)):
                # Dagster takes a check here, though its annotation does not say so
                context.log_event(found)  # type: ignore[arg-type]
        for one in untidy.tidy(lambda: False):
            if isinstance(one, NotCompacted):
                context.log.warning("parts of %s %s stay many: %s", one.what, one.partition, one.error)
        if failed:
            raise dg.Failure(f"{len(failed)} partitions failed; first: {failed[0]}", allow_retries=False)

    @dg.job(
        name=REFRESH,
        executor_def=living_executor,
        description="Appends labels, VPIN, cross-venue rows and integrated OFI that became final.",
    )
    def gold_refresh() -> None:
        refresh_gold()

    return gold_refresh


def refresh_schedule(config: Config, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Starts the refresh every `etl.gold.refresh_minutes`, where something changed and none is under way."""
    minutes = config.etl.gold.refresh_minutes

    @dg.schedule(
        job=job,
        name=REFRESH,
        cron_schedule=f"*/{minutes} * * * *" if minutes < 60 else "0 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Starts the refresh of the gold tables beside the bars.",
    )
    def gold_refresh(context: dg.ScheduleEvaluationContext, lake: LakeResource) -> dg.RunRequest | dg.SkipReason:
        if not gold_marks(lake.open()):
            return dg.SkipReason("no silver has changed since the last refresh")
        return dg.SkipReason("a refresh is under way") if is_under_way(context.instance, REFRESH) else dg.RunRequest()

    return gold_refresh


def _is_due(change: Change) -> bool:
    """Whether the change passes an hour, or builds again what was there."""
    return change.is_rebuilt or change.from_us // DUE_US != change.to_us // DUE_US
