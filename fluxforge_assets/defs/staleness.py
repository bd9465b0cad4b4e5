"""`configuration_current`: which partitions were computed under another configuration, and the command that mends it.

Dagster's graph shows a partitioned asset as fresh whatever its partitions hold, so a check counts and lists them. It
can be executed from the page; a sensor evaluates it when the configuration changes, daily, and as backfills proceed.
"""

import time
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
SENSOR_SECONDS = 120
REST = 20
"""The sensor looks again after so many times what looking took: a year of 500 instruments is seconds a dataset."""


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


def evaluation(instance: dg.DagsterInstance, lake: Lake, config: Config, dataset: Dataset) -> dg.AssetCheckEvaluation:
    """The same as an event, for a run that is not the check's own."""
    verdict = evaluate(instance, lake, config, dataset)
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey(dataset.asset_key), check_name=CHECK, **verdict)


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
    """Evaluates the check without a run: after a change of configuration, daily, and as what is stale becomes less."""

    @dg.sensor(
        name="configuration",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells which partitions a change of configuration made stale.",
    )
    def configuration(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        options = config.etl.channels.orderbook.processor_options
        fingerprints = [dataset.fingerprint(options) for dataset in DATASETS]
        state = " ".join([*fingerprints, datetime.now(UTC).date().isoformat()])
        judged, counted, looked = [*(context.cursor or "").split("|"), "", ""][:3]
        before = counted.split() if judged == state else []
        if before and set(before) == {"0"}:
            return dg.SkipReason("the configuration is the one judged last, and nothing is stale")
        ended_s, took_s = map(float, (looked or "0 0").split())
        began_s = time.time()
        if before and 0 <= began_s - ended_s < REST * took_s:  # none rests for a clock that was set back
            return dg.SkipReason(f"as many partitions were stale as before: {sum(map(int, before))}")
        opened = lake.open()
        verdicts = [evaluate(context.instance, opened, config, dataset) for dataset in DATASETS]
        counts = [str(verdict["metadata"]["stale"]) for verdict in verdicts]
        events = [
            dg.AssetCheckEvaluation(asset_key=dg.AssetKey(dataset.asset_key), check_name=CHECK, **verdict)
            for position, (dataset, verdict) in enumerate(zip(DATASETS, verdicts, strict=True))
            if not before or counts[position] != before[position]
        ]
        ended_s = time.time()
        return dg.SensorResult(
            asset_events=events,
            cursor=f"{state}|{' '.join(counts)}|{ended_s:.3f} {ended_s - began_s:.3f}",
            skip_reason=None if events else f"as many partitions are stale as before: {sum(map(int, counts))}",
        )

    return configuration
