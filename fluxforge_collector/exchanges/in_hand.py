"""The frame that a recorder handles now: what has become of it so far."""

from __future__ import annotations

from typing import NamedTuple

from fluxforge_collector.exchanges.surroundings import Connection
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import GapReason
from fluxforge_collector.sequence import Finding, Update


class Distrust(NamedTuple):
    """Why a connection cannot be trusted any more."""

    reason: GapReason
    why: str


class FrameInHand:
    """What has become of the frame in hand so far."""

    __slots__ = (
        "broken",
        "capture_us",
        "connection",
        "hashes",
        "outcome",
        "rejected",
        "seen",
        "text",
        "untrusted",
        "updates",
        "wall_ms",
    )

    def __init__(self, connection: Connection, text: str | bytes, capture_us: int, wall_ms: int) -> None:
        self.connection = connection
        self.text = text
        self.capture_us = capture_us
        self.wall_ms = wall_ms
        self.outcome: Outcome | None = None
        self.rejected: Outcome | None = None
        self.updates: tuple[tuple[str, Update], ...] = ()
        self.broken: dict[str, Finding] = {}
        self.untrusted: Distrust | None = None
        self.hashes: dict[str, str] = {}
        self.seen: set[int] = set()
