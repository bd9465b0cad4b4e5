"""`configuration_current`: which partitions were computed under another configuration, and the command that mends it.

Dagster's graph shows a partitioned asset as fresh whatever its partitions hold, so a check counts and lists them. It
can be executed from the page; a sensor evaluates it when the configuration changes, daily, and while it fails.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import AssetCheckExecutionContext, AssetCheckResult

from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.staleness import Staleness, Versions, staleness
from fluxforge_collector.config.model import Config

CHECK = "configuration_current"
SHOWN = 20
SENSOR_SECONDS = 60
RECHECK_SECONDS = 600
"""While partitions are stale, how often the check looks again."""


def known_versions(instance: dg.DagsterInstance, dataset: Dataset) -> Versions:
    """The fingerprint Dagster recorded last of each partition, from its index: no partition is opened."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(dataset.asset_key), dg.DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
    )
    pairs = ((key.partition("|"), known.get("dagster/data_version")) for key, known in tags.items())
    return {(key[0], key[2]): version for key, version in pairs if version}


def stale_partitions(
    instance: dg.DagsterInstance | None,
    lake: Lake,
    config: Config,
    dataset: Dataset,
    wants: Callable[[Place], bool] = lambda _: True,
) -> Staleness:
    """A dataset's stale partitions; without an instance every partition is opened."""
    current = dataset.fingerprint(config.etl.channels.orderbook.processor_options)
    versions = known_versions(instance, dataset) if instance else {}
    return staleness(lake, dataset, current, versions=versions, wants=wants)


def evaluate(instance: dg.DagsterInstance, lake: Lake, config: Config, dataset: Dataset) -> dict[str, Any]:
    """What the check says of a dataset: `passed`, `metadata`, `severity`."""
    found = stale_partitions(instance, lake, config, dataset)
    metadata: dict[str, Any] = {
        "stored": found.stored,
        "stale": len(found.stale),
        "fingerprint": dataset.fingerprint(config.etl.channels.orderbook.processor_options),
    }
    if found.stale:
        lines = [f"| {place.date} | {place.instrument.key} |" for place in found.stale[:SHOWN]]
        more = len(found.stale) - SHOWN
        tail = [f"\n… and {more:,} more"] if more > 0 else []
        metadata["partitions"] = dg.MetadataValue.md("\n".join(["| date | instrument |", "|---|---|", *lines, *tail]))
        metadata["mend"] = f"fluxforge backfill --stale --asset {dataset.asset} --launch"
    return {"passed": not found.stale, "metadata": metadata, "severity": dg.AssetCheckSeverity.WARN}


def staleness_checks(config: Config) -> list[dg.AssetChecksDefinition]:
    """The check of every processed asset."""
    return [_check(config, dataset) for dataset in DATASETS]


def _check(config: Config, dataset: Dataset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey(dataset.asset_key),
        name=CHECK,
        description="Every stored partition was computed under the configuration that holds now.",
    )
    def configuration_current(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
        return dg.AssetCheckResult(**evaluate(context.instance, lake.open(), config, dataset))

    return configuration_current


def configuration_sensor(config: Config) -> dg.SensorDefinition:
    """Evaluates the check without a run: after a change of configuration, daily, and while something is stale."""

    @dg.sensor(
        name="configuration",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells which partitions a change of configuration made stale.",
    )
    def configuration(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        options = config.etl.channels.orderbook.processor_options
        state = " ".join([*(dataset.fingerprint(options) for dataset in DATASETS), now.date().isoformat()])
        before, _, moment = (context.cursor or "").rpartition("|")
        is_due = moment.isdigit() and now.timestamp() - int(moment) >= RECHECK_SECONDS
        if before == state and not is_due:
            return dg.SkipReason("the configuration is the one judged last, and nothing is stale")
        opened = lake.open()
        events = [
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(dataset.asset_key),
                check_name=CHECK,
                **evaluate(context.instance, opened, config, dataset),
            )
            for dataset in DATASETS
        ]
        again = "" if all(event.passed for event in events) else str(int(now.timestamp()))
        return dg.SensorResult(asset_events=events, cursor=f"{state}|{again}")

    return configuration
