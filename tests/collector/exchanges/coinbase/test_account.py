"""The account of the native collector over every fault: the short form, and each fault alone by `make account`."""

import itertools
import time

import pytest
from support.account import settle_lake

from fluxforge_collector.metrics import Outcome
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import FRAME_FAULTS, KINDS, REST_FAULTS, SOCKET_FAULTS

SYMBOLS = ("BTC/USD", "ETH/USD")
STRUCK, DELISTED = SYMBOLS
CHANNELS = ("orderbook", "trades", "ticker")
FLUSH_S = 0.2
SETTINGS = {
    "close": {"code": 1012},
    "gap": {"symbol": STRUCK, "count": 3},
    "restart": {"seconds": 0.5},
    "silence": {"seconds": 0},
    "mute": {"seconds": 0},
    "half_open": {"seconds": 0},
    "clock_skew": {"seconds": -2.0},
    "delist": {"symbol": DELISTED},
}
TOGETHER = {
    "frames lost or out of order": ("drop", "duplicate", "reorder", "delay"),
    "frames that are wrong": ("malformed", "missing_field", "error_frame", "checksum", "gap"),
    "connections that end": ("close", "abort", "restart"),
    "connections that say nothing": ("silence", "mute", "half_open"),
    "frames that mean harm": ("price", "deep", "oversize"),
    "what is no frame": ("slow_rest", "rest_error", "slow_socket", "refuse_socket", "clock_skew", "delist"),
}
"""The faults of a run: few enough that the backoff between reconnections stays short."""


@pytest.fixture
def account(config, collecting, until):
    """Collect while faults happen, one after the other, on each channel in turn, and balance the account.

    `at_first`: each to the first frame of a new connection.
    """

    async def run(kinds, *, seed, far_levels=0, at_first=False):
        options = SimulatorOptions(
            seed=seed, speed=3, exchanges=("coinbase",), instruments=SYMBOLS, far_levels=far_levels, truth_limit=10**6
        )
        symbols = list(SYMBOLS)

        async def is_flowing():
            """Until every stream has brought something, and every book states that were made from now on."""
            last_us = running.tally.last_us
            streams = [("coinbase", symbol, "orderbook") for symbol in symbols]
            await until(lambda: last_us and running.tally.asked_us.keys() == last_us.keys(), 90)
            for _ in range(2):
                from_us = time.time_ns() // 1000 + 200_000
                await until(lambda: all(last_us.get(stream, 0) > from_us for stream in streams), 90)  # noqa: B023

        async with Simulator(options) as sim:
            wanted = {"symbols": list(SYMBOLS), "silence_seconds": 1.5, "stale_after_seconds": 4}
            settings = config(sim, {}, coinbase=wanted, flush_interval_seconds=FLUSH_S)
            async with collecting(settings) as running:
                await is_flowing()
                for kind, channel in zip(kinds, itertools.cycle(CHANNELS), strict=False):
                    before = sim.truth.faults[kind]
                    if at_first:
                        await sim.inject(Fault("abort"))
                    if kind in FRAME_FAULTS:
                        await sim.inject(Fault(kind, symbol=STRUCK, channel=channel, seconds=0.3))
                        await until(lambda kind=kind, before=before: sim.truth.faults[kind] > before, 90)
                    else:
                        await sim.inject(Fault(kind, **SETTINGS.get(kind, {})))
                    if kind in {*REST_FAULTS, *SOCKET_FAULTS}:
                        # products are asked for again where a connection brought nothing
                        await sim.inject(Fault("silence", seconds=0))
                    if kind == "delist":
                        symbols.remove(DELISTED)
                    await is_flowing()
                await sim.pause()
        received = running.report.account["coinbase"]
        assert received["received"] == running.report.frames == sum(received.values()) - received["received"]
        assert Outcome.NOT_ASKED not in received
        return settle_lake(sim.truth, settings.root, flush_s=FLUSH_S, source="coinbase")

    return run


def test_every_kind_of_fault_is_in_a_run():
    assert {kind for kinds in TOGETHER.values() for kind in kinds} == KINDS.keys()


@pytest.mark.asyncio
@pytest.mark.parametrize("kinds", TOGETHER.values(), ids=TOGETHER.keys())
async def test_the_account_balances_whatever_goes_wrong(kinds, account):
    found = await account(kinds, seed=71)
    assert found.wrong == []
    assert found.gaps > 0


@pytest.mark.asyncio
async def test_nothing_is_lost_where_nothing_goes_wrong(account):
    found = await account((), seed=72, far_levels=2000)
    assert found.wrong == []
    assert (found.in_gaps, found.unseen, found.gaps) == (0, 0, 0)


@pytest.mark.asyncio
async def test_the_account_balances_where_the_first_frame_comes_twice_or_not_at_all(account):
    found = await account(("duplicate", "drop"), seed=75, at_first=True)
    assert found.wrong == []


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", FRAME_FAULTS)
async def test_the_account_balances_for_each_fault_of_a_first_frame(kind, account):
    found = await account((kind,) * 3, seed=76, at_first=True)
    assert found.wrong == []


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [73, 74])
async def test_the_account_balances_for_each_fault(seed, kind, account):
    kinds = (kind,) if kind == "delist" else (kind,) * 3
    found = await account(kinds, seed=seed, far_levels=20_000 if kind == "close" else 0)
    assert found.wrong == []
