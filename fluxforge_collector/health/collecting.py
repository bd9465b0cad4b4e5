"""Judging a collector by the sign of life it left: is it there, does it write, does every stream flow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from fluxforge_collector.config.model import Config, Health
from fluxforge_collector.errors import DataError
from fluxforge_collector.health.finding import Finding, Level, duration
from fluxforge_collector.health.heartbeat import Heartbeat, heartbeats, read_heartbeat


def check(config: Config, now_us: int) -> list[Finding]:
    """Every collector that ever left a sign of life in the lake."""
    found, known = [], []
    for path in heartbeats(config.root):
        try:
            known.append(read_heartbeat(path))
        except DataError as error:
            found.append(Finding(Level.DEGRADED, f"heartbeat {path.name}", str(error)))
    own = config.ingestion.collector
    if not any(heartbeat.collector == own for heartbeat in known):
        found.append(Finding(Level.DOWN, f"collector {own}", f"has never run on {config.root}"))
    for heartbeat in known:
        found += judge(heartbeat, config.health, now_us, own=own)
    return found


def judge(heartbeat: Heartbeat, limits: Health, now_us: int, *, own: str) -> list[Finding]:
    """What one sign of life says. A collector of another name that ended in order is no fault."""
    name = f"collector {heartbeat.collector} ({heartbeat.source})"
    age_s = (now_us - heartbeat.at_us) / 1e6
    if heartbeat.stopped:
        level = Level.DOWN if heartbeat.collector == own else Level.HEALTHY
        return [Finding(level, name, "stopped in order", heartbeat.at_us)]
    if age_s > limits.heartbeat_seconds:
        text = f"dead, or stuck: no sign of life for {duration(age_s)} (pid {heartbeat.pid} on {heartbeat.host})"
        return [Finding(Level.DOWN, name, text, heartbeat.at_us)]
    up = duration((heartbeat.at_us - heartbeat.started_us) / 1e6)
    alive = Finding(Level.HEALTHY, name, f"alive {duration(age_s)} ago, up {up}", heartbeat.started_us)
    return [alive, *_troubles(heartbeat, name), *_queue(heartbeat, limits, name), *_streams(heartbeat, limits, now_us)]


def _troubles(heartbeat: Heartbeat, name: str) -> Iterator[Finding]:
    for why in heartbeat.why_not_ready:
        yield Finding(Level.DOWN, name, f"not ready: {why}", heartbeat.not_ready_since_us)
    if heartbeat.why_not_sent:
        yield Finding(Level.DEGRADED, name, f"segments are kept here, not sent: {heartbeat.why_not_sent}")
    for what in heartbeat.refused:
        yield Finding(Level.DEGRADED, name, f"refused: {what}", heartbeat.started_us)


def _queue(heartbeat: Heartbeat, limits: Health, name: str) -> Iterator[Finding]:
    limit = heartbeat.queue_limit_records
    level = Level.DEGRADED if limit and heartbeat.queue_records > limits.queue_share * limit else Level.HEALTHY
    lost = f", {heartbeat.lost_records:,} lost since it started" if heartbeat.lost_records else ""
    yield Finding(level, f"queue of {name}", f"{heartbeat.queue_records:,} of {limit:,} records wait{lost}")


def _streams(heartbeat: Heartbeat, limits: Health, now_us: int) -> Iterator[Finding]:
    """A finding per silent stream, one per exchange for those that flow; an exchange all silent is down."""
    for exchange, group in groupby(sorted(heartbeat.streams), key=lambda stream: stream.exchange):
        streams = list(group)
        ages = {stream: (now_us - (stream.last_us or stream.asked_us)) / 1e6 for stream in streams}
        silent = [stream for stream in streams if ages[stream] > limits.silence_seconds(stream.channel)]
        if len(silent) == len(streams):
            since_us = max(stream.last_us or stream.asked_us for stream in streams)
            yield Finding(Level.DOWN, f"exchange {exchange}", f"0 of {len(streams)} streams flow", since_us)
            continue
        flowing = [stream for stream in streams if stream not in silent]
        quietest = max(flowing, key=ages.__getitem__)
        text = (
            f"{len(flowing)} of {len(streams)} streams flow, the quietest is {quietest.symbol} {quietest.channel}:"
            f" {duration(ages[quietest])}"
        )
        yield Finding(Level.HEALTHY, f"exchange {exchange}", text)
        for stream in silent:
            what = "no record" if stream.last_us else "no record ever"
            yield Finding(
                Level.DEGRADED, f"stream {exchange} {stream.symbol} {stream.channel}",
                f"{what} for {duration(ages[stream])}", stream.last_us or stream.asked_us,
            )  # fmt: skip
