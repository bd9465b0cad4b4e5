"""How far silver and bars have come, by the names of their newest parts; no file is opened. For `fluxforge health`."""

from __future__ import annotations

from collections.abc import Iterator

from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, Dataset
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, open_lake
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.health.finding import Finding, Level, duration
from fluxforge_collector.segments.names import DAY_US, date_of

WATCHED = (SILVER_ORDERBOOK, GOLD_BARS)
_NAMED = 3


def check(config: Config, now_us: int) -> list[Finding]:
    """Whether silver and bars are as new as they should be."""
    if not config.etl.channels.orderbook.enabled:
        return []
    limit_s = config.checks.max_age_seconds
    try:
        lake = open_lake(config)
        return [judge(dataset, newest(lake, dataset, now_us), limit_s, now_us) for dataset in WATCHED]
    except (OSError, FluxForgeError) as error:
        return [Finding(Level.DEGRADED, "newest silver and bars", f"cannot be listed: {error}")]


def newest(lake: Lake, dataset: Dataset, now_us: int) -> dict[str, int]:
    """The end of the newest part of every instrument that has any of today or yesterday, microseconds by key."""
    return {key: end_us for source in lake.sources() for key, end_us in _ends(lake, source, dataset, now_us)}


def _ends(lake: Lake, source: str, dataset: Dataset, now_us: int) -> Iterator[tuple[str, int]]:
    for day in (date_of(now_us - DAY_US), date_of(now_us)):
        for place in lake.places(source, dataset.folder, day):
            parts = parts_of(lake.partition(place, dataset.folder))
            if parts:
                yield place.instrument.key, max(part.to_us for part in parts)


def judge(dataset: Dataset, ends: dict[str, int], limit_s: float, now_us: int) -> Finding:
    """What the newest ends of a dataset say: it is as old as the instrument that lags most."""
    what = f"newest {dataset.asset}"
    if not ends:
        return Finding(Level.HEALTHY, what, "none of today or yesterday")
    oldest_us = min(ends.values())
    late = sorted(key for key, end_us in ends.items() if now_us - end_us > limit_s * 1e6)
    if not late:
        return Finding(Level.HEALTHY, what, f"at most {duration((now_us - oldest_us) / 1e6)} old", oldest_us)
    more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
    text = f"{duration((now_us - oldest_us) / 1e6)} old: {', '.join(late[:_NAMED])}{more}"
    return Finding(Level.DEGRADED, what, text, oldest_us)
