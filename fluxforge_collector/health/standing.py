"""Judging what stands in the lake: segments that wait for a run, files put aside, space on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from fluxforge_collector.config.model import Config, Health
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.health.finding import Finding, Level, duration
from fluxforge_collector.health.lake import LakeState, look
from fluxforge_collector.storage.bucket import open_path

_MIB = 1 << 20


def check(config: Config, now_us: int) -> list[Finding]:
    """What a look at the lake says. A bucket out of reach loses nothing: what is sealed stays on the disk till then."""
    try:
        disk = shutil.disk_usage(config.root)
        unsent = list(_unsent(config, now_us))
    except OSError as error:
        return [Finding(Level.DOWN, "lake", f"{config.root} cannot be looked at: {error.strerror}; see lake.root")]
    found = [_disk(disk.free, disk.total, config.health), *unsent]
    try:
        state = look(open_path(config.lake.root, config.storage), config.root)
    except (OSError, FluxForgeError) as error:
        level = Level.DEGRADED if config.lake.is_in_bucket else Level.DOWN
        return [*found, Finding(level, "lake", f"{config.lake.root} cannot be looked at: {error}")]
    return [*found, *_waiting(state, config.health, now_us), *_quarantined(state, config, now_us)]


def _disk(free: int, size: int, limits: Health) -> Finding:
    free_mb = free / _MIB
    shown = f"{free_mb / 1024:,.1f} GiB" if free_mb >= 1024 else f"{free_mb:,.0f} MiB"
    level = Level.DEGRADED if free_mb < limits.min_free_mb else Level.HEALTHY
    return Finding(level, "disk", f"{shown} free, {free / max(size, 1):.0%}")


def _waiting(state: LakeState, limits: Health, now_us: int) -> Iterator[Finding]:
    for (source, stage), waiting in state.waiting.items():
        text, level = "none", Level.HEALTHY
        if waiting.oldest_us is not None:
            age_s = (now_us - waiting.oldest_us) / 1e6
            text = f"{waiting.segments:,}, the oldest began {duration(age_s)} ago"
            level = Level.DEGRADED if age_s > limits.waiting_seconds else Level.HEALTHY
        yield Finding(level, f"segments of {source} in {stage}", text, waiting.oldest_us)


def _unsent(config: Config, now_us: int) -> Iterator[Finding]:
    """What a collector here still has to send to the lake's bucket."""
    if not config.lake.is_in_bucket:
        return
    for (source, stage), waiting in look(config.root, config.root).waiting.items():
        if stage == "ready" and waiting.oldest_us is not None:
            age_s = (now_us - waiting.oldest_us) / 1e6
            level = Level.DEGRADED if age_s > config.health.waiting_seconds else Level.HEALTHY
            text = f"{waiting.segments:,}, the oldest began {duration(age_s)} ago"
            yield Finding(level, f"segments of {source} to be sent", text, waiting.oldest_us)


def _quarantined(state: LakeState, config: Config, now_us: int) -> Iterator[Finding]:
    for source, quarantined in state.quarantined.items():
        newest_us = quarantined.newest_us
        is_new = newest_us is not None and now_us - newest_us < config.health.quarantine_hours * 3.6e9
        text = f"{quarantined.files:,} put aside, see raw/quarantine/{source}" if quarantined.files else "empty"
        yield Finding(Level.DEGRADED if is_new else Level.HEALTHY, f"quarantine of {source}", text, newest_us)
