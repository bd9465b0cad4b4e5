"""Whether Dagster's daemon is alive and asks the sensor, by the instance in `$DAGSTER_HOME`. For `fluxforge health`."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Finding, Level, duration

if TYPE_CHECKING:
    import dagster as dg

SENSOR = "ready_segments"
RUNS_FAILED = "real-time runs failed in a row: "
"""How the sensor begins to say why it waits, where runs fail."""
_WHAT = "Dagster's daemon"
_REQUIRED = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""Without these nothing is computed by itself."""
_DATABASES = tuple(
    f".dagster/storage/{name}.db" for name in ("schedules/schedules", "history/runs", "history/runs/index")
)
"""Where the profile of the repository keeps them."""


class Beat(NamedTuple):
    """A heartbeat: when, seconds since the epoch, and of which process."""

    at_s: float
    by: str | None


class Asked(NamedTuple):
    """When the sensor was asked last, seconds since the epoch, and what is wrong by its answer, if anything."""

    at_s: float
    is_on: bool
    fault: str


def check(config: Config, now_us: int, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """The heartbeats the daemon left in its instance."""
    home = environment.get("DAGSTER_HOME")
    if not home:
        return [Finding(Level.HEALTHY, _WHAT, "not asked for: DAGSTER_HOME is not set")]
    from fluxforge_assets.defs.partitions import INSTRUMENTS

    try:
        with instance_of(home) as instance:
            beats = {
                kind: Beat(status.last_heartbeat.timestamp, status.last_heartbeat.daemon_id)
                for kind, status in instance.get_daemon_statuses().items()
                if status.last_heartbeat is not None
            }
            asked = last_asked(instance)
            instance.get_dynamic_partitions(INSTRUMENTS)  # of the events' database, which nothing above has read
    except Exception as error:  # noqa: BLE001  an instance fails in as many ways as there are databases
        said = why(error)
        if damaged := damaged_databases(Path(home)):
            said = f"{', '.join(damaged)} of {home} is damaged; stop it and delete that"
        return [Finding(Level.DEGRADED, _WHAT, f"its instance cannot be read: {said}")]
    daemon = judge(beats, config.health.daemon_seconds, now_us)
    if daemon.level is not Level.HEALTHY:
        return [daemon]  # it is what asks the sensor
    return [daemon, judge_sensor(asked, config.health.daemon_seconds, now_us)]


def instance_of(home: str) -> dg.DagsterInstance:
    """The instance of `$DAGSTER_HOME`, from any folder. Raises: in as many ways as there are databases; see `why`."""
    import dagster as dg

    # paths in dagster.yaml may be relative to the home, where its processes run
    with contextlib.chdir(home):
        return dg.DagsterInstance.get()


def why(error: Exception) -> str:
    """What keeps an instance from being opened, in a line; Dagster's own begins with the schema of all it could be."""
    if unset := sorted(set(re.findall(r'environment variable "(\w+)" which is not set', str(error)))):
        return f"its dagster.yaml asks for {', '.join(unset)}, not set here"
    return f"{type(error).__name__}: {_line(error)}"


def judge(beats: Mapping[str, Beat], limit_s: float, now_us: int) -> Finding:
    """What the last heartbeats say, by kind of daemon."""
    if not beats:
        return Finding(Level.DEGRADED, _WHAT, "has never run: start `dagster dev` or `dagster-daemon run`")
    now_s = now_us / 1e6
    oldest = min(beats[kind].at_s if kind in beats else 0.0 for kind in _REQUIRED)
    since_us = round((oldest or max(beat.at_s for beat in beats.values())) * 1e6)
    if now_s - oldest > limit_s:
        missing = sorted(k.lower() for k in _REQUIRED if k not in beats or now_s - beats[k].at_s > limit_s)
        return Finding(Level.DEGRADED, _WHAT, f"no heartbeat of {', '.join(missing)}: nothing is computed", since_us)
    if len({beat.by for beat in beats.values() if now_s - beat.at_s <= limit_s}) > 1:
        return Finding(Level.DEGRADED, _WHAT, "more than one runs on this home: stop the others", since_us)
    return Finding(Level.HEALTHY, _WHAT, f"alive {duration(now_s - oldest)} ago", since_us)


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
        fault = f"fails: {_line(failed.message)}" if failed else ""
        if ticks and (waits := ticks[0].skip_reason) and waits.startswith(RUNS_FAILED):
            fault = f"{_line(waits)}; the last one says why on Dagster's page"
        found.append(Asked(at_s, state.is_running, fault))
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
    if asked.fault:
        return Finding(Level.DEGRADED, what, asked.fault, since_us)
    return Finding(Level.HEALTHY, what, f"asked {duration(age_s)} ago", since_us)


def damaged_databases(home: Path) -> list[str]:
    """The databases of a home in SQLite that cannot be read any more, as after a power cut on a disk that lies."""
    found = []
    for name in _DATABASES:
        try:
            with contextlib.closing(sqlite3.connect(f"{(home / name).as_uri()}?mode=ro", uri=True)) as connection:
                if connection.execute("pragma quick_check(1)").fetchone() != ("ok",):
                    found.append(name)
        except sqlite3.OperationalError:  # it is not there, or somebody writes to it
            continue
        except sqlite3.DatabaseError:
            found.append(name)
    return found


def _line(error: object) -> str:
    """The first line of what an error says, at most so much of it."""
    return next(iter(str(error).strip().splitlines()), "")[:200]
