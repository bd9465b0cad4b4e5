"""Whether Dagster's daemon is alive, asked of the instance in `$DAGSTER_HOME`. For `fluxforge health`."""

import contextlib
import os
from collections.abc import Mapping

from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Finding, Level, duration

_WHAT = "Dagster's daemon"
_REQUIRED = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")
"""Without these nothing is computed by itself."""


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
    except Exception as error:  # noqa: BLE001  an instance fails in as many ways as there are databases
        why = (str(error).splitlines() or [""])[0][:200]
        return [Finding(Level.DEGRADED, _WHAT, f"its instance cannot be read: {type(error).__name__}: {why}")]
    return [judge(beats, config.health.daemon_seconds, now_us)]


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
