"""Liveness: the sign a run's process gives while it works, and the sensor that ends runs whose process has died.

Dagster's default launcher cannot tell: after a power cut or `kill -9` a run would be under way for ever, and hold its
slot. What runs on another machine is left to the launcher that started it there.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.storage.tags import GRPC_INFO_TAG

SENSOR_SECONDS = 30
SIGN_SECONDS = 60.0
"""How long after its start a run may lack a sign: it is given before the first step."""
_held: dict[str, int] = {}
_STARTED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


class LivingExecutor(dg.Executor):
    """Another executor, which gives the run's sign of life before any of its steps."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """As the other one has it."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """As the other one has it."""
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Give the sign, then execute."""
        give_sign(plan_context.instance, plan_context.run_id)
        yield from self._inner.execute(plan_context, execution_plan)


def _living(context: dg.InitExecutorContext) -> dg.Executor:
    create = cast("Callable[[dg.InitExecutorContext], dg.Executor]", dg.in_process_executor.executor_creation_fn)
    return LivingExecutor(create(context))


living_executor = dg.ExecutorDefinition("in_process", IN_PROC_CONFIG, executor_creation_fn=_living)
"""Dagster's executor of one process, of whose death `lost_runs` will know. Every job here is executed by it."""


def give_sign(instance: dg.DagsterInstance, run_id: str) -> None:
    """Hold a lock for this run until the process ends, which the kernel then lets go, however it ends."""
    if run_id in _held:
        return
    path = _path(instance, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o640)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, f"{socket.gethostname()} {os.getpid()}".encode())
    for earlier in _held.values():  # runs before it in the same process
        os.close(earlier)
    _held.clear()
    _held[run_id] = fd


def has_died(instance: dg.DagsterInstance, run: dg.DagsterRun, seconds: float, location: str | None) -> bool:
    """Whether the process of a run that started so many seconds ago is gone.

    Where the code server of this location was handed the run, it ran where this is asked: the lock alone tells, also
    where what held the sign is gone with its container, or a full disk took no sign. Elsewhere the sign must name this
    machine.
    """
    try:
        with _path(instance, run.run_id).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            host = file.read().partition(" ")[0]
    except BlockingIOError:
        return False
    except FileNotFoundError:
        host = ""
    if GRPC_INFO_TAG in run.tags and _location(run) == location:
        return bool(host) or seconds > SIGN_SECONDS
    return host == socket.gethostname()


def _location(run: dg.DagsterRun) -> str | None:
    return run.remote_job_origin.location_name if run.remote_job_origin else None


def liveness_sensor() -> dg.SensorDefinition:
    """Fails the runs whose process has died, so that what they left is taken up."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process died with the machine or was killed; the next run takes up their work.",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        location = origin.location_name if origin else None
        started = context.instance.get_run_records(dg.RunsFilter(statuses=_STARTED))
        lost = [
            record.dagster_run
            for record in started
            if has_died(context.instance, record.dagster_run, _seconds_since(record.start_time), location)
        ]
        for run in lost:
            context.instance.report_run_failed(run, "its process is gone: the machine went down, or it was killed")
        return dg.SkipReason(f"ended {len(lost)} of {len(started)} runs" if lost else "every run lives")

    return lost_runs


def _seconds_since(start: float | None) -> float:
    return time.time() - start if start else 0.0


def _path(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory()) / run_id / "alive"
