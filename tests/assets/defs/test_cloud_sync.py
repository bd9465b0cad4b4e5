"""The daily copy, in process."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.cloud_sync import ASSET, CLOUD_SYNC
from fluxforge_collector.config.model import Sync


def run(defs, instance):
    job = defs.get_repository_def().get_job(CLOUD_SYNC)
    return job.execute_in_process(instance=instance, raise_on_error=False)


def test_it_copies_what_is_closed_and_says_so(config, lake, instance, tmp_path):
    (lake.root / "raw" / "quarantine").mkdir(parents=True)
    (lake.root / "raw" / "quarantine" / "odd").write_bytes(b"12345")
    defs = build(config.model_copy(update={"sync": Sync(remote=str(tmp_path / "there"))}))
    for copied in (1, 0):
        assert run(defs, instance).success
        event = instance.get_latest_materialization_event(ASSET).asset_materialization
        assert event.metadata["copied"].value == copied
    assert (tmp_path / "there" / "raw" / "quarantine" / "odd").read_bytes() == b"12345"


@pytest.mark.parametrize(
    ("remote", "said"), [(None, "set sync.remote"), ("s3://no-such-bucket-of-ours", "there is no such bucket")]
)
def test_without_another_side_it_says_what_to_do(config, instance, s3_server, remote, said):
    changes = {"sync": Sync(remote=remote), "storage": s3_server.settings()}
    done = run(build(config.model_copy(update=changes)), instance)
    assert not done.success
    failed = next(event for event in done.all_events if event.is_step_failure)
    assert said in failed.step_failure_data.user_failure_data.description


def test_the_schedule_waits_for_another_side(defs, config, instance):
    schedule = defs.get_repository_def().get_schedule_def("daily_cloud_sync")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
    assert not schedule.evaluate_tick(context).run_requests
    with_remote = build(config.model_copy(update={"sync": Sync(remote="s3://there/lake")}))
    schedule = with_remote.get_repository_def().get_schedule_def("daily_cloud_sync")
    assert schedule.evaluate_tick(context).run_requests


def test_dagster_can_load_it_beside_everything_else(config):
    """A job and an asset of one name are refused, but only when the whole location is loaded."""
    dg.Definitions.validate_loadable(build(config))
    repository = build(config).get_repository_def()
    assert CLOUD_SYNC in {job.name for job in repository.get_all_jobs()}
