"""The real-time job: land what waits for a date, then append what became final to silver and gold.

It is a job of ops, not of assets, because it touches any set of instruments in one run and logs an event only for a
partition that changed; an asset run covers a rectangle of partitions and costs two events for each.
"""

import time
import zlib

import dagster as dg

from fluxforge_assets.defs.bronze import DESCRIPTIONS, bronze_key, instruments_of, of_date, report
from fluxforge_assets.defs.checks import evaluations
from fluxforge_assets.defs.partitions import check_date, register
from fluxforge_assets.defs.processed import of_realtime
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import GOLD, Mark, mark, marks, settle
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.update import KEEP_BYTES, Failed, is_complete, update
from fluxforge_collector.config.model import Config

REALTIME = "realtime"
DUE_SECONDS = 300
"""A partition is drawn and judged about this often, each at its own time: both cost as much as computing a minute."""


def realtime_job(config: Config) -> dg.JobDefinition:
    """Bring one date up to date, and any earlier one whose last rows were not final yet."""

    @dg.op(config_schema={"date": str}, pool="landing")
    def land_bronze(context: dg.OpExecutionContext, lake: LakeResource) -> str:
        """Claim, validate and archive the date's segments; bad ones go to quarantine."""
        opened, date = lake.open(), check_date(context.op_config["date"])
        has_landed = False
        for source in opened.sources():
            landed = land(opened, source, [date])
            report(context, landed)
            has_landed = has_landed or bool(landed.manifests)
        archives = [Archive(opened, source) for source in opened.sources()]
        register(context.instance, instruments_of(archives, date))
        if has_landed:
            for channel in DESCRIPTIONS:
                shown = of_date(archives, channel, date)
                context.log_event(dg.AssetMaterialization(bronze_key(channel), partition=date, metadata=shown))
        return date

    @dg.op(pool="realtime")
    def append_processed(context: dg.OpExecutionContext, lake: LakeResource, date: str) -> None:
        """Append to silver and gold what became final; late data builds its range again."""
        opened = lake.open()
        failed: list[str] = []
        for known in [m for m in marks(opened) if m.date <= date]:
            errors = _bring_up_to_date(context, opened, config, known)
            mark(opened, known.source, known.date, of=GOLD)
            if errors:
                mark(opened, known.source, known.date)
            else:
                settle(opened, known, is_complete=is_complete(opened, known.source, known.date))
            failed += errors
        if failed:
            raise dg.Failure(f"{len(failed)} partitions failed; first: {failed[0]}", allow_retries=False)

    @dg.job(
        name=REALTIME,
        executor_def=dg.in_process_executor,
        description="Lands what the collector sealed and appends what became final. Started by the sensor.",
        tags={"dagster/priority": "10"},
    )
    def realtime() -> None:
        append_processed(land_bronze())

    return realtime


def _bring_up_to_date(context: dg.OpExecutionContext, lake: Lake, config: Config, known: Mark) -> list[str]:
    """Advance a date's partitions, then say what changed, which takes longer; what failed, as text."""
    failed: list[str] = []
    judged: dict[Dataset, list[Place]] = {}
    archive = Archive(lake, known.source, keep_bytes=KEEP_BYTES)
    for outcome in list(update(lake, config, known.source, known.date, archive)):
        if isinstance(outcome, Failed):
            said = f"{outcome.asset} {known.date}|{outcome.place.instrument.key}: {outcome.error}"
            if outcome.is_set_aside:
                context.log.error("set aside after %d tries, until it is materialised: %s", config.etl.max_tries, said)
                continue
            failed.append(said)
            context.log.error(said)
            continue
        is_due = _is_due(outcome)
        context.log_event(of_realtime(lake, outcome, has_plot=is_due, archive=archive))
        if is_due:
            judged.setdefault(outcome.dataset, []).append(outcome.place)
    for dataset, places in judged.items():
        for evaluation in evaluations(lake, config, dataset, places):
            # Dagster takes a check here, though its annotation does not say so
            context.log_event(evaluation)  # type: ignore[arg-type]
    return failed


def _is_due(change: Change) -> bool:
    """Whether the change passes the partition's own multiple of `DUE_SECONDS`, or is about old data."""
    every = DUE_SECONDS * 1_000_000
    own = zlib.crc32(change.place.instrument.key.encode()) % every
    is_passed = (change.from_us + own) // every != (change.to_us + own) // every
    return is_passed or time.time() - change.from_us / 1e6 > 2 * DUE_SECONDS
