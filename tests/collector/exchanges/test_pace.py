"""Messages go one a slot, whoever sends them."""

import asyncio

import pytest

from fluxforge_collector.exchanges.pace import Pace


@pytest.mark.asyncio
async def test_slots_are_never_closer_than_the_pace_allows():
    pace, times = Pace(100), []
    loop = asyncio.get_running_loop()

    async def send():
        for _ in range(3):
            await pace.slot()
            times.append(loop.time())

    began = loop.time()
    await asyncio.gather(*(send() for _ in range(4)))
    # the n-th slot is never before its time, however late the one before was used
    assert all(at >= began + n * 0.01 - 1e-3 for n, at in enumerate(sorted(times)))
