"""Findings: what was judged, how it fares, since when. A check is a function from the configuration to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from fluxforge_collector.config.model import Config


class Level(IntEnum):
    """How something fares; the number is the exit code of `fluxforge health`."""

    HEALTHY = 0
    DEGRADED = 1  # nothing is lost, but somebody should look
    DOWN = 2  # what should be collected now is not


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was judged (`stream okx BTC/USDT orderbook`), in a few words; `since_us` since the epoch, where known."""

    level: Level
    what: str
    text: str
    since_us: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"level": self.level.name.lower(), "what": self.what, "text": self.text, "since_us": self.since_us}


Check = Callable[[Config, int], list[Finding]]
"""What the entry points `fluxforge.health` name: the configuration, now in microseconds → findings."""


def worst(findings: Iterable[Finding]) -> Level:
    """How the whole fares."""
    return max((finding.level for finding in findings), default=Level.HEALTHY)


def duration(seconds: float) -> str:
    """A length of time in its two largest units, such as `3 h 12 min`."""
    rest, shown = round(max(seconds, 0)), []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            shown.append(f"{count} {unit}")
    return " ".join(shown[:2]) or "0 s"
