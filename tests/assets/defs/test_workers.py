"""What the daemon is told of a run in a worker, by what the worker and the result store say."""

from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from fluxforge_assets.defs.workers import WorkerLauncher

RUN = dg.DagsterRun(job_name="j", run_id="r", tags={"dagster-celery/task_id": "t1"})
ON_A = {"pid": 7, "hostname": "a@one"}


class Broker:
    """A result store and workers that answer, as Celery shows them; each look at the state takes the next."""

    def __init__(self, states, info=ON_A, answers=None):
        self._states = list(states)
        self._info = info
        self._answers = answers

    @property
    def control(self):
        return SimpleNamespace(
            inspect=lambda _workers, timeout: SimpleNamespace(query_task=lambda _task: self._answers)
        )

    def AsyncResult(self, _task):  # noqa: N802  Celery's name
        broker = self

        class Result:
            info = broker._info

            @property
            def state(self):
                return broker._states.pop(0) if len(broker._states) > 1 else broker._states[0]

        return Result()


def told(broker):
    launcher = WorkerLauncher(default_queue="dagster", broker="memory://", backend="cache+memory://")
    launcher.celery = broker
    return launcher.check_run_worker_health(RUN)


@pytest.mark.parametrize(
    ("broker", "status", "words"),
    [
        pytest.param(Broker(["STARTED"], answers={"a@one": {"t1": ["active", {}]}}), WorkerStatus.RUNNING, None, id="at_work"),
        pytest.param(Broker(["STARTED"], answers={"a@one": {"t1": ["reserved", {}]}}), WorkerStatus.RUNNING, None, id="just_begun"),
        pytest.param(Broker(["STARTED"]), WorkerStatus.FAILED, "a@one does not answer", id="silent"),
        pytest.param(Broker(["STARTED"], answers={"a@one": {}}), WorkerStatus.FAILED, "started again", id="new_under_its_name"),
        pytest.param(Broker(["STARTED", "SUCCESS"], answers={"a@one": {}}), WorkerStatus.SUCCESS, None, id="ended_meanwhile"),
        pytest.param(Broker(["SUCCESS"], info=0), WorkerStatus.SUCCESS, None, id="ended"),
        pytest.param(Broker(["FAILURE"], info=RuntimeError()), WorkerStatus.FAILED, "task failed", id="slot_killed"),
        pytest.param(Broker(["STARTED"], info=None), WorkerStatus.RUNNING, None, id="nobody_named"),
    ],
)  # fmt: skip
def test_a_run_is_lost_where_no_worker_is_at_it(broker, status, words):
    found = told(broker)
    assert found.status == status
    assert words is None or words in found.msg
