"""The sensor: looks into the lake, and asks for a real-time run where work waits. What it knows stands in files."""

import time
from typing import NamedTuple

import dagster as dg

from fluxforge_assets.defs.daemon import RUNS_FAILED
from fluxforge_assets.defs.partitions import INSTRUMENTS, instruments, today
from fluxforge_assets.defs.realtime import PARTLY_FAILED, REALTIME, dates_to_run
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.defs.under_way import is_under_way
from fluxforge_assets.lake.inspection import check_instrument
from fluxforge_assets.lake.landing import dates_waiting, waiting
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.usable import check_usable
from fluxforge_collector.config.load import load_config
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.storage.bucket import LakePath

READ_MANIFESTS = 500
LONGEST_WAIT_S = 600.0


class Wait(NamedTuple):
    """Seconds until a run may start, and how many failed in a row before it."""

    seconds: float
    failures: int


def ready_sensor(config: Config, job: dg.JobDefinition) -> dg.SensorDefinition:
    """Starts a run over everything that waits, where none stays, at most every `etl.min_run_interval_seconds`."""

    @dg.sensor(
        job=job,
        name="ready_segments",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Watches raw/ready and starts the real-time job.",
    )
    def ready_segments(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        opened = lake.open()
        wanted = dates_to_run(opened)
        if not wanted:
            return dg.SkipReason("nothing waits in raw/ready")
        is_new = bool(dates_waiting(opened, today()))
        interval_s = config.etl.min_run_interval_seconds
        wait = wait_for_next(context.instance, interval_s, time.time(), is_new=is_new)
        if wait is None:
            return dg.SkipReason("a real-time run is under way")
        if wait.seconds > 0:
            after = f"{RUNS_FAILED}{wait.failures}; " if wait.failures else ""
            return dg.SkipReason(f"{after}the next run may start in {wait.seconds:.0f} s")
        # what would fail run after run fails this instead: the configuration, which a run reads anew, and the lake
        load_config()
        check_usable(opened)
        known = set(context.instance.get_dynamic_partitions(INSTRUMENTS))
        new = sorted(keys_waiting(opened) - known)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(tags={"fluxforge/dates": " ".join(sorted(wanted))})],
            dynamic_partitions_requests=[instruments.build_add_request(new)] if new else [],
        )

    return ready_segments


def keys_waiting(lake: Lake) -> set[str]:
    """Instruments named by waiting manifests; what cannot be read is left to the landing to judge."""
    found: set[str] = set()
    for source in lake.sources():
        paths = lake.segments(source)
        for name in waiting(lake, source)[:READ_MANIFESTS]:
            for path in (paths.ready_manifest(name.id), paths.processing_manifest(name.id)):
                if path.exists():
                    found |= _keys_of(path)
    return found


def _keys_of(path: LakePath) -> set[str]:
    try:
        manifest = read_manifest(path)
        return {check_instrument(key).key for key in manifest.instruments}
    except FluxForgeError:
        return set()


def wait_for_next(instance: dg.DagsterInstance, interval_s: float, now_s: float, *, is_new: bool) -> Wait | None:
    """How long until a run may start; None while one is under way.

    Longer after each failure in a row; but new segments never wait for a few partitions that keep failing, and none
    waits for a clock that was set back.
    """
    if is_under_way(instance, REALTIME):
        return None
    records = instance.get_run_records(dg.RunsFilter(job_name=REALTIME), limit=8)
    if not records:
        return Wait(0.0, 0)
    failures = 0
    for run in (record.dagster_run for record in records):
        if run.status is not dg.DagsterRunStatus.FAILURE or (is_new and PARTLY_FAILED in run.tags):
            break
        failures += 1
    whole_s = min(interval_s * (1 << failures), max(interval_s, LONGEST_WAIT_S))
    passed_s: float = now_s - records[0].create_timestamp.timestamp()
    return Wait(whole_s - passed_s if passed_s >= 0 else 0.0, failures)
