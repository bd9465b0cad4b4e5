"""A run whose process was killed is ended by the sensor; one that lives, or lives elsewhere, is left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from fluxforge_assets.defs.liveness import SIGN_SECONDS, has_died, liveness_sensor, living_executor

WORKER = """
import sys, time
import dagster as dg
from fluxforge_assets.defs.liveness import give_sign
give_sign(dg.DagsterInstance.from_ref(dg.DagsterInstance.local_temp(sys.argv[1]).get_ref()), sys.argv[2])
print("working", flush=True)
time.sleep(600)
"""
HERE = {GRPC_INFO_TAG: "{}"}
"""What a run carries that a code server was handed."""


@dg.op
def look(context: dg.OpExecutionContext):
    return (Path(context.instance.storage_directory()) / context.run_id / "alive").read_text()


@dg.job(executor_def=living_executor)
def looking():
    look()


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def started(instance):
    """A run that Dagster takes for under way."""

    @dg.job
    def anything():
        pass

    run = instance.create_run_for_job(anything)
    instance.handle_run_event(run.run_id, dg.DagsterEvent("PIPELINE_START", "anything"))
    assert status(instance, run) is dg.DagsterRunStatus.STARTED
    return run


@pytest.fixture
def worker(tmp_path, started):
    """The process of the run."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WORKER, str(tmp_path), started.run_id],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "working\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def status(instance, run):
    return instance.get_run_by_id(run.run_id).status


def tick(instance):
    return liveness_sensor()(dg.build_sensor_context(instance=instance)).skip_message


def test_a_killed_run_is_ended_and_said_why(instance, started, worker):
    assert tick(instance) == "every run lives"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert tick(instance) == "ended 1 of 1 runs"
    assert status(instance, started) is dg.DagsterRunStatus.FAILURE
    said = [log.dagster_event.message for log in instance.all_logs(started.run_id) if log.dagster_event]
    assert any("its process is gone" in (message or "") for message in said)
    assert tick(instance) == "every run lives"


def dies(instance, run, seconds=0.0, location=None, **tags):
    return has_died(instance, run.with_tags({**run.tags, **tags}), seconds, location)


def test_a_run_of_another_machine_is_left_alone(instance, started, worker):
    worker.kill()
    worker.wait()
    sign = next(Path(instance.storage_directory()).glob(f"{started.run_id}/alive"))
    sign.write_text(f"another-host {worker.pid}")
    assert not dies(instance, started)
    assert dies(instance, started, **HERE), "its container had another name, and is gone"
    assert not dies(instance, started, location="another", **HERE), "another code server was handed it"


def test_a_run_without_a_sign_is_dead_only_where_the_code_server_here_was_handed_it(instance, started):
    """Its sign went with the container, or the disk was full when it was to be given."""
    assert not dies(instance, started, seconds=2 * SIGN_SECONDS)
    assert not dies(instance, started, seconds=SIGN_SECONDS / 2, **HERE)
    assert dies(instance, started, seconds=2 * SIGN_SECONDS, **HERE)
    assert tick(instance) == "every run lives"


def test_every_job_gives_the_sign(defs):
    """Or its runs would be ended while they work."""
    jobs = defs.get_repository_def().get_all_jobs()
    assert len(jobs) > 5
    assert {job.executor_def for job in jobs} == {living_executor}


def test_the_sign_is_given_before_the_first_step(instance):
    with dg.execute_job(dg.reconstructable(looking), instance) as result:
        assert result.output_for_node("look").split()[1] == str(os.getpid())
