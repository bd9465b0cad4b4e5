"""Compaction: an asset per dataset for compacting a chosen partition, and the daily job for whatever waits.

The assets depend on nothing: what they merge stays the same data, so they are no part of its lineage, and whoever
materialises what comes after bronze compacts nothing. The job logs an event only for a partition that changed, so a
night with nothing to do costs one listing of the lake.
"""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from fluxforge_assets.defs.bronze import DESCRIPTIONS
from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.liveness import living_executor
from fluxforge_assets.defs.metadata import OWNERS
from fluxforge_assets.defs.partitions import check_date, dates, instrument_dates, split_key
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import NotCompacted, compact, last_closed_date
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.places import Selection
from fluxforge_collector.config.model import Config

COMPACTION = "compaction"
POOL = "backfill"
"""Whatever is not the real-time job shares this pool's single slot; the other slot stays free."""


def compaction_key(asset: str) -> dg.AssetKey:
    """The compaction of an asset: `bronze/trades` gives `compaction/bronze_trades`."""
    return dg.AssetKey(["compaction", asset.replace("/", "_")])


def compaction_assets(config: Config) -> list[dg.AssetsDefinition]:
    """The compaction of every dataset, by the partitions of what it compacts."""
    return [_bronze(config), *(_processed(config, dataset) for dataset in DATASETS)]


def _bronze(config: Config) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(
            compaction_key(f"bronze/{channel.value}"),
            description=f"Merges the segments of {channel.value} of a closed day into few files, verified first.",
            group_name="compaction",
            owners=OWNERS,
            kinds={"parquet"},
            tags={"layer": "compaction"},
            skippable=True,
        )
        for channel in DESCRIPTIONS
    ]

    @dg.multi_asset(
        specs=specs,
        name="compaction_bronze",
        can_subset=True,
        partitions_def=dates(config),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
    )
    def compact_bronze(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult[Any]]:
        with failing_plainly():
            opened = lake.open()
            channels = {c: compaction_key(f"bronze/{c.value}") for c in DESCRIPTIONS}
            wanted = {c: key for c, key in channels.items() if key in context.selected_asset_keys}
            closed = _closed(config, list(context.partition_keys))
            for day in sorted(closed):
                chosen = Selection(first=day, last=day, channels=frozenset(c.value for c in wanted))
                done = {one.what: one for one in _run(opened, config, chosen, "bronze")}
                for channel, key in wanted.items():
                    shown = _shown(done.get(f"bronze/{channel.value}"))
                    context.add_asset_metadata(shown, asset_key=key, partition_key=day)
            for key in wanted.values():
                yield dg.MaterializeResult(asset_key=key)

    return compact_bronze


def _processed(config: Config, dataset: Dataset) -> dg.AssetsDefinition:
    layer, _, name = dataset.asset.partition("/")
    channels = frozenset({name if layer == "silver" else "orderbook"})

    @dg.asset(
        key=compaction_key(dataset.asset),
        partitions_def=instrument_dates(config),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"Merges the parts of {dataset.asset} of a closed day into few, verified, in one step for readers.",
        group_name="compaction",
        owners=OWNERS,
        kinds={"parquet"},
        tags={"layer": "compaction"},
        pool=POOL,
    )
    @failing_plainly()
    def compact_processed(context: dg.AssetExecutionContext, lake: LakeResource) -> None:
        opened = lake.open()
        keys = {key: split_key(key) for key in context.partition_keys}
        closed = _closed(config, [day for day, _ in keys.values()])
        for key, (day, instrument) in keys.items():
            if day in closed:
                chosen = Selection(instrument.exchange, instrument.safe_symbol, day, day, channels)
                done = _run(opened, config, chosen, dataset.asset)
                context.add_asset_metadata(_shown(next(iter(done), None)), partition_key=key)

    return compact_processed


def _closed(config: Config, wanted: list[str]) -> set[str]:
    """The closed ones of some dates. Raises: dagster.Failure where none is."""
    last = last_closed_date(config.compaction, time.time_ns() // 1000)
    closed = {check_date(day) for day in wanted if day <= last}
    if wanted and not closed:
        raise dg.Failure(f"{wanted[0]} is not closed yet — compact a date up to {last}", allow_retries=False)
    return closed


def _run(lake: Lake, config: Config, chosen: Selection, what: str) -> list[Compacted]:
    """Compact a selection's places of an asset. Raises: dagster.Failure where one could not be compacted."""
    found = list(compact(lake, config.compaction, chosen, now_us=time.time_ns() // 1000, what=what))
    for one in found:
        if isinstance(one, NotCompacted):
            raise dg.Failure(f"{one.what} {one.partition}: {one.error}", allow_retries=False)
    return [one for one in found if isinstance(one, Compacted)]


def _shown(done: Compacted | None) -> dict[str, Any]:
    """What is said of a compacted partition."""
    if done is None:
        return {"compacted": False}
    return {
        "compacted": True,
        "dagster/row_count": done.rows,
        "files_before": done.files_before,
        "files_after": done.files_after,
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "bytes_ratio": round(done.bytes_after / done.bytes_before, 4),
        "elapsed_seconds": round(done.seconds, 3),
    }


def compaction_job(config: Config) -> dg.JobDefinition:
    """Compact whatever waits among the last `compaction.days_back` days."""

    @dg.op(pool=POOL)
    @failing_plainly()
    def compact_lake(context: dg.OpExecutionContext, lake: LakeResource) -> None:
        """Merge small files of closed days; a place that fails does not stop the rest."""
        now_us = time.time_ns() // 1000
        last = date.fromisoformat(last_closed_date(config.compaction, now_us))
        first = last - timedelta(days=config.compaction.days_back - 1)
        done: list[Compacted] = []
        failed: list[str] = []
        for one in compact(lake.open(), config.compaction, Selection(first=first.isoformat()), now_us=now_us):
            if isinstance(one, NotCompacted):
                failed.append(f"{one.what} {one.partition}: {one.error}")
                context.log.error(failed[-1])
            else:
                done.append(one)
                context.log_event(dg.AssetMaterialization(compaction_key(one.what), None, _shown(one), one.partition))
        context.log.info(
            "%d files became %d, %d bytes became %d",
            sum(one.files_before for one in done),
            sum(one.files_after for one in done),
            sum(one.bytes_before for one in done),
            sum(one.bytes_after for one in done),
        )
        if failed:
            raise dg.Failure(f"{len(failed)} places could not be compacted; first: {failed[0]}", allow_retries=False)

    @dg.job(
        name=COMPACTION,
        executor_def=living_executor,
        description="Merges the many files of closed days into few. Started daily.",
        tags={"fluxforge/kind": "maintenance"},
    )
    def compaction() -> None:
        compact_lake()

    return compaction


def compaction_schedule(config: Config, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Daily at `compaction.hour`."""

    @dg.schedule(
        job=job,
        name="daily_compaction",
        cron_schedule=f"10 {config.compaction.hour} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compacts what closed since yesterday; a night without anything to merge costs a listing.",
    )
    def daily_compaction() -> dg.RunRequest | dg.SkipReason:
        if not config.compaction.enabled:
            return dg.SkipReason("compaction.enabled is false")
        return dg.RunRequest()

    return daily_compaction
