"""Whether Dagster's daemon is alive and asks the sensor, by the instance in `$DAGSTER_HOME`. For `fluxforge health`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Finding, Level, duration

if TYPE_CHECKING:
    import dagster as dg

SENSOR = "ready_segments"
_WHAT = "Dagster's daemon"
_REQUIRED = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""Without these nothing is computed by itself."""


class Asked(NamedTuple):
    """When the sensor was asked last, seconds since the epoch, and what it failed with, if it did."""

    at_s: float
    is_on: bool
    error: str


def check(config: Config, now_us: int, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """The heartbeats the daemon left in its instance."""
    home = environment.get("DAGSTER_HOME")
    if not home:
        return [Finding(Level.HEALTHY, _WHAT, "not asked for: DAGSTER_HOME is not set")]
    import dagster as dg

    try:
        # paths in dagster.yaml may be relative to the home, where its processes run
        with contextlib.chdir(home), dg.DagsterInstance.get() as instance:
            beats = {
                kind: status.last_heartbeat.timestamp
                for kind, status in instance.get_daemon_statuses().items()
                if status.last_heartbeat is not None
            }
            asked = last_asked(instance)
    except Exception as error:  # noqa: BLE001  an instance fails in as many ways as there are databases
        return [Finding(Level.DEGRADED, _WHAT, f"its instance cannot be read: {why(error)}")]
    daemon = judge(beats, config.health.daemon_seconds, now_us)
    if daemon.level is not Level.HEALTHY:
        return [daemon]  # which asks the sensor
    return [daemon, judge_sensor(asked, config.health.daemon_seconds, now_us)]


def why(error: Exception) -> str:
    """What keeps an instance from being opened, in a line; Dagster's own begins with the schema of all it could be."""
    if unset := sorted(set(re.findall(r'environment variable "(\w+)" which is not set', str(error)))):
        return f"its dagster.yaml asks for {', '.join(unset)}, not set here"
    return f"{type(error).__name__}: {_line(error)}"


def judge(beats: Mapping[str, float], limit_s: float, now_us: int) -> Finding:
    """What the last heartbeats say, seconds since the epoch by kind of daemon."""
    if not beats:
        return Finding(Level.DEGRADED, _WHAT, "has never run: start `dagster dev` or `dagster-daemon run`")
    oldest = min((beats.get(kind, 0.0) for kind in _REQUIRED), default=0.0)
    newest = max(beats.values())
    since_us = round((oldest or newest) * 1e6)
    age_s = now_us / 1e6 - oldest
    if age_s <= limit_s:
        return Finding(Level.HEALTHY, _WHAT, f"alive {duration(age_s)} ago", since_us)
    missing = sorted(kind.lower() for kind in _REQUIRED if now_us / 1e6 - beats.get(kind, 0.0) > limit_s)
    return Finding(Level.DEGRADED, _WHAT, f"no heartbeat of {', '.join(missing)}: nothing is computed", since_us)


def last_asked(instance: dg.DagsterInstance) -> Asked | None:
    """What the instance knows of the sensor that starts real-time runs; None where no daemon ever saw it."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import TickStatus

    states = [s for s in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR) if s.name == SENSOR]
    if not states:
        return None
    found = []
    for state in states:  # a location that was renamed leaves one behind
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        failed = ticks[0].error if ticks and ticks[0].status is TickStatus.FAILURE else None
        while failed and failed.cause:  # Dagster says first that a sensor failed, and what it was last
            failed = failed.cause
        known = state.sensor_instigator_data
        at_s = max(known.last_tick_timestamp or 0.0, known.last_tick_start_timestamp or 0.0) if known else 0.0
        found.append(Asked(at_s, state.is_running, _line(failed.message) if failed else ""))
    return max(found)


def judge_sensor(asked: Asked | None, limit_s: float, now_us: int) -> Finding:
    """What the last time says that the sensor was asked."""
    what = f"sensor {SENSOR}"
    if asked is None or not asked.at_s:
        return Finding(Level.DEGRADED, what, "was never asked: does the code server run?")
    age_s, since_us = now_us / 1e6 - asked.at_s, round(asked.at_s * 1e6)
    if not asked.is_on:
        return Finding(Level.DEGRADED, what, "is switched off: no real-time run is started", since_us)
    if age_s > limit_s:
        return Finding(Level.DEGRADED, what, f"not asked for {duration(age_s)}: does the code server run?", since_us)
    if age_s < -limit_s:
        return Finding(Level.DEGRADED, what, f"not asked for {duration(-age_s)} yet: the clock was set back", since_us)
    if asked.error:
        return Finding(Level.DEGRADED, what, f"fails: {asked.error}", since_us)
    return Finding(Level.HEALTHY, what, f"asked {duration(age_s)} ago", since_us)


def _line(error: object) -> str:
    """The first line of what an error says, at most so much of it."""
    return next(iter(str(error).strip().splitlines()), "")[:200]
