"""The pace at which something is done to one address, by all connections together."""

from __future__ import annotations

import asyncio


class Pace:
    """Gives out slots of time, `per_second` of them."""

    def __init__(self, per_second: float) -> None:
        self._slot_s = 1 / per_second
        self._next_s = 0.0

    async def slot(self) -> None:
        """Wait for the next free slot."""
        now_s = asyncio.get_running_loop().time()
        at_s = max(self._next_s, now_s)
        self._next_s = at_s + self._slot_s
        await asyncio.sleep(at_s - now_s)
