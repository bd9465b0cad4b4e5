"""Liveness: the sign a run's process gives while it works, and the sensor that ends runs whose process has died.

Dagster's default launcher cannot tell: after a power cut or `kill -9` a run would be under way for ever, and hold its
slot. What runs on another machine is left to the launcher that started it there.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import dagster as dg

SENSOR_SECONDS = 30
_held: dict[str, int] = {}
_STARTED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def alive(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> None:
    """Hold a lock for this run until the process ends, which the kernel then lets go, however it ends."""
    run_id = context.run.run_id
    if run_id in _held:
        return
    path = _path(context.instance, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o640)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, f"{socket.gethostname()} {os.getpid()}".encode())
    for earlier in _held.values():  # runs before it in the same process
        os.close(earlier)
    _held.clear()
    _held[run_id] = fd


def has_died(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run under way gave its sign on this machine, and its process is gone."""
    try:
        with _path(instance, run_id).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file.read().partition(" ")[0] == socket.gethostname()
    except (FileNotFoundError, BlockingIOError):
        return False


def liveness_sensor() -> dg.SensorDefinition:
    """Fails the runs whose process has died, so that what they left is taken up."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process died with the machine or was killed; the next run takes up their work.",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        started = context.instance.get_runs(dg.RunsFilter(statuses=_STARTED))
        lost = [run for run in started if has_died(context.instance, run.run_id)]
        for run in lost:
            context.instance.report_run_failed(run, "its process is gone: the machine went down, or it was killed")
        return dg.SkipReason(f"ended {len(lost)} of {len(started)} runs" if lost else "every run lives")

    return lost_runs


def _path(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory()) / run_id / "alive"
