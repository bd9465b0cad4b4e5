"""A run whose process was killed is ended by the sensor; one that lives, or lives elsewhere, is left alone."""

import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from fluxforge_assets.defs.liveness import has_died, liveness_sensor

WORKER = """
import sys, time
from types import SimpleNamespace
import dagster as dg
from fluxforge_assets.defs.liveness import alive
instance = dg.DagsterInstance.from_ref(dg.DagsterInstance.local_temp(sys.argv[1]).get_ref())
alive(SimpleNamespace(instance=instance, run=SimpleNamespace(run_id=sys.argv[2])))
print("working", flush=True)
time.sleep(600)
"""


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


def test_a_run_of_another_machine_is_left_alone(instance, started, worker):
    worker.kill()
    worker.wait()
    sign = next(Path(instance.storage_directory()).glob(f"{started.run_id}/alive"))
    sign.write_text(f"another-host {worker.pid}")
    assert not has_died(instance, started.run_id)


def test_a_run_that_never_gave_its_sign_is_left_alone(instance, started):
    assert not has_died(instance, started.run_id)
    assert tick(instance) == "every run lives"
