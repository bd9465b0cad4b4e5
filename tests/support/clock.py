"""A clock for tests, which turns when it is told to."""


class HandClock:
    """A clock turned by hand: all three hands show the same, in microseconds."""

    def __init__(self, now_us=1_000_000_000):
        self.now_us = now_us

    def advance(self, seconds):
        """Turn it."""
        self.now_us += round(seconds * 1e6)

    def wall_us(self):
        return self.now_us

    def capture_us(self):
        return self.now_us

    def monotonic(self):
        return self.now_us / 1e6

    def step_us(self):
        return 0

    def anchor(self):
        pass
