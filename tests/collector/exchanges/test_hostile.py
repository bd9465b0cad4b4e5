"""Exchanges that mean harm, or are broken: what they send harms neither bronze nor anybody else's streams."""

import math

import pytest

from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
ONE_SEGMENT = {"segment_max_seconds": 86_400}
FRAMES = [
    Fault("price", exchange="okx", symbol="BTC/USDT", channel="orderbook", field="NaN"),
    Fault("price", exchange="okx", symbol="BTC/USDT", channel="trades", field="1e999"),
    Fault("price", exchange="okx", symbol="ETH/USDT", channel="ticker", field="Infinity"),
    Fault("deep", exchange="okx", channel="orderbook"),
    Fault("oversize", exchange="okx", channel="trades"),
]


@pytest.mark.asyncio
async def test_frames_that_cannot_be_are_gaps_and_every_other_exchange_goes_on(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=51, speed=3)) as sim:
        settings = config(sim, {venue: {"symbols": SYMBOLS} for venue in ("okx", "binanceus")}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            for fault in FRAMES:
                states = {venue: running.states(venue) for venue in ("okx", "binanceus")}
                await until(lambda before=states: all(running.states(v) > before[v] + 10 for v in before), 60)
                struck = sim.truth.faults[fault.kind]
                await sim.inject(fault)
                await until(lambda f=fault, n=struck: sim.truth.faults[f.kind] > n, 60)
            states = running.states("okx")
            await until(lambda: running.states("okx") > states + 10, 60)
    for row in rows(settings.root, "orderbook"):
        levels = [level for side in ("bids", "asks") for level in row[side]]
        assert all(math.isfinite(level["price"]) and level["price"] > 0 < level["size"] for level in levels)
    assert all(math.isfinite(row["price"]) and row["price"] > 0 for row in rows(settings.root, "trades"))
    assert all(row["bid"] is None or math.isfinite(row["bid"]) for row in rows(settings.root, "ticker"))
    gaps = [gap for gap in rows(settings.root, "gaps") if gap["reason"] == "bad_frame"]
    assert {gap["exchange"] for gap in gaps} == {"okx"}
    told = {gap["detail"].partition(";")[2].strip() or gap["detail"] for gap in gaps}
    assert any("BTC/USDT: a price or size" in detail for detail in told)
    assert any(detail == "a price or size that is not finite and above zero" for detail in told)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["slow_rest", "slow_socket"])
async def test_a_server_that_never_answers_holds_up_nobody_else(kind, config, collecting, until):
    async with Simulator(SimulatorOptions(seed=52, speed=3)) as sim:
        await sim.inject(Fault(kind, exchange="okx", seconds=600, count=100))
        settings = config(sim, {venue: {"symbols": SYMBOLS} for venue in ("okx", "binanceus")}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.states("binanceus") > 40, 60)
    assert running.states("okx") == 0
    assert "binanceus" not in {exchange for exchange, _ in running.tally.gaps}


@pytest.mark.asyncio
async def test_a_refused_handshake_is_tried_again_when_the_exchange_says(config, collecting, until):
    async with Simulator(SimulatorOptions(seed=53, speed=3, exchanges=("okx",))) as sim:
        await sim.inject(Fault("refuse_socket", exchange="okx", code=429, retry_after=2))
        settings = config(sim, {"okx": {"symbols": SYMBOLS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: sim.truth.faults["refuse_socket"], 60)
            assert sim.stats()["connections_opened"] == 0
            await until(lambda: running.states("okx") > 10, 60)
