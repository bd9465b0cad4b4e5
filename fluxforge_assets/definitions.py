"""Dagster's entry: `defs`, built from the configuration that `$FLUXFORGE_CONFIG` or `./fluxforge.yaml` gives."""

from __future__ import annotations

import warnings

import dagster as dg

from fluxforge_assets.defs.bronze import bronze_assets
from fluxforge_assets.defs.cloud_sync import cloud_sync_asset, cloud_sync_job, cloud_sync_schedule
from fluxforge_assets.defs.compaction import compaction_assets, compaction_job, compaction_schedule
from fluxforge_assets.defs.completeness import completeness_checks, completeness_sensor
from fluxforge_assets.defs.freshness import with_freshness
from fluxforge_assets.defs.history import history_job, history_schedule
from fluxforge_assets.defs.liveness import liveness_sensor, living_executor
from fluxforge_assets.defs.processed import processed_assets
from fluxforge_assets.defs.realtime import realtime_job
from fluxforge_assets.defs.refreshing import refresh_job, refresh_schedule
from fluxforge_assets.defs.resources import resources
from fluxforge_assets.defs.retention import retention_job, retention_schedule
from fluxforge_assets.defs.sensors import ready_sensor
from fluxforge_assets.defs.staleness import configuration_sensor, staleness_checks
from fluxforge_collector.config.load import load_config
from fluxforge_collector.config.model import Config


def build(config: Config) -> dg.Definitions:
    """The definitions of a configuration."""
    with warnings.catch_warnings():
        # backfill policies are beta, and Dagster is pinned
        warnings.simplefilter("ignore", dg.BetaWarning)
        job, gold = realtime_job(config), refresh_job(config)
        compaction, retention, purge = compaction_job(config), retention_job(config), history_job(config)
        copies = cloud_sync_job()
        return dg.Definitions(
            assets=[
                *with_freshness(config, [bronze_assets(config), *processed_assets(config)]),
                *compaction_assets(config),
                cloud_sync_asset(config),
            ],
            jobs=[job, gold, compaction, retention, copies, purge],
            schedules=[
                refresh_schedule(config, gold),
                compaction_schedule(config, compaction),
                retention_schedule(config, retention),
                cloud_sync_schedule(config, copies),
                history_schedule(config, purge),
            ],
            asset_checks=[*staleness_checks(config), *completeness_checks(config)],
            sensors=[
                ready_sensor(config, job),
                configuration_sensor(config),
                completeness_sensor(config, job),
                liveness_sensor(),
            ],
            resources=resources(config),
            executor=living_executor,
        )


warnings.filterwarnings("ignore", category=dg.BetaWarning)  # as in `build`, when Dagster copies them
defs = build(load_config())
