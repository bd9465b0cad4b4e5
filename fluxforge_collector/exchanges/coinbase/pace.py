"""The pace of all connections to one address together: how many messages a second, how many connections opening."""

from __future__ import annotations

import asyncio

_OPENINGS = 4


class Pace:
    """Lets one message a slot go, `per_second` of them, and few connections open at a time.

    A connection that opens sends its first message within a few slots: Coinbase closes one that says nothing for 5 s.
    """

    def __init__(self, per_second: float) -> None:
        self.openings = asyncio.Semaphore(_OPENINGS)
        self._slot_s = 1 / per_second
        self._next_s = 0.0

    async def slot(self) -> None:
        """Wait for the next free slot."""
        now_s = asyncio.get_running_loop().time()
        at_s = max(self._next_s, now_s)
        self._next_s = at_s + self._slot_s
        await asyncio.sleep(at_s - now_s)
