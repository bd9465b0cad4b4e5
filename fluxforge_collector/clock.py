"""Time, passed in: a wall clock for people, a capture clock that never runs backwards, a monotonic one for waiting."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the collector asks of time; tests hand over one turned by hand."""

    def wall_us(self) -> int:
        """Wall clock, microseconds since the epoch; may step."""

    def capture_us(self) -> int:
        """Capture time, microseconds since the epoch; never decreases."""

    def monotonic(self) -> float:
        """Seconds for measuring durations."""

    def step_us(self) -> int:
        """How far the wall clock has moved away from capture time since the anchor; positive when ahead."""

    def anchor(self) -> None:
        """Tie capture time to the wall clock again, without letting it run backwards."""


class SystemClock:
    """The machine's clock: capture time is the monotonic clock anchored to the wall clock."""

    def __init__(self) -> None:
        self._last_us = 0
        self._offset_us = 0
        self.anchor()

    def wall_us(self) -> int:
        """Microseconds since the epoch, as the machine has it."""
        return time.time_ns() // 1000

    def capture_us(self) -> int:
        """The anchored time, held where it would run backwards."""
        now = max(self._last_us, time.monotonic_ns() // 1000 + self._offset_us)
        self._last_us = now
        return now

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def step_us(self) -> int:
        """Wall clock minus anchored time."""
        return self.wall_us() - (time.monotonic_ns() // 1000 + self._offset_us)

    def anchor(self) -> None:
        """Anchor to the wall clock as it stands."""
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
