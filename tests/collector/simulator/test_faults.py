"""Faults on command: what they do to frames, and that the real client or its user notices."""

import asyncio
import gc

import aiohttp
import ccxt.pro as ccxt
import pytest

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import FaultPlan

SYMBOL = "BTC/USDT"


def options(exchange):
    return SimulatorOptions(exchanges=(exchange,), instruments=(SYMBOL, "ETH/USDT"), speed=3)


@pytest.mark.parametrize(
    ("fault", "stream", "acts"),
    [
        (Fault("drop"), ("okx", SYMBOL, "trades"), True),
        (Fault("drop", exchange="okx"), ("okx", SYMBOL, "trades"), True),
        (Fault("drop", exchange="okx"), ("binanceus", SYMBOL, "trades"), False),
        (Fault("drop", symbol="ETH/USDT"), ("okx", SYMBOL, "trades"), False),
        (Fault("drop", channel="orderbook"), ("okx", SYMBOL, "trades"), False),
    ],
)
def test_a_fault_waits_for_its_frames(fault, stream, acts):
    plan = FaultPlan()
    plan.add(fault)
    assert (plan.take(*stream) is not None) is acts


def test_a_fault_is_used_up_by_its_count():
    plan = FaultPlan()
    plan.add(Fault("drop", count=3))
    assert [plan.take("okx", SYMBOL, "trades") is not None for _ in range(5)] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("wrong", [{"kind": "nothing"}, {"kind": "drop", "count": 0}])
def test_an_unknown_fault_is_refused(wrong):
    with pytest.raises(ConfigError):
        Fault(**wrong)


@pytest.mark.asyncio
@pytest.mark.parametrize(("exchange", "error"), [("binanceus", ccxt.ChecksumError), ("okx", ccxt.InvalidNonce)])
async def test_the_client_notices_a_dropped_update_and_recovers(exchange, error, client, watching, until):
    async with Simulator(options(exchange)) as sim, client(sim, exchange) as ex:
        async with watching(lambda: ex.watch_order_book(SYMBOL)) as (seen, errors):
            await until(lambda: len(seen) > 5)
            await sim.inject(Fault("drop", exchange, SYMBOL, "orderbook"))
            await until(lambda: errors)
            assert isinstance(errors[0], error)
            count = len(seen)
            await until(lambda: len(seen) > count + 5)
        dropped = [f for f in sim.truth.frames() if f.fault]
        assert [(f.fault, f.symbol, f.channel) for f in dropped] == [("drop", SYMBOL, "orderbook")]
        assert sim.stats()["faults"] == {"drop": 1}


@pytest.mark.asyncio
async def test_dropped_trades_are_exactly_those_the_truth_names(client, watching, until):
    async with Simulator(options("binanceus")) as sim, client(sim, "binanceus") as ex:
        async with watching(lambda: ex.watch_trades(SYMBOL)) as (seen, _):
            await until(lambda: seen)
            await sim.inject(Fault("drop", channel="trades", count=3))
            await until(lambda: len(sim.truth.frames(channel="trades")) > 30)
            frames = sim.truth.frames(channel="trades")
            await until(lambda: any(t["id"] == str(frames[-1].sequence) for trades in seen for t in trades))
        got = {t["id"] for trades in seen for t in trades}
        assert {str(f.sequence) for f in frames if not f.fault} <= got
        lost = {str(f.sequence) for f in frames if f.fault == "drop"}
        assert len(lost) == 3
        assert not lost & got


@pytest.mark.asyncio
async def test_frame_faults_on_the_wire():
    """A malformed frame is half of one, a duplicate comes twice."""
    async with (
        Simulator(options("okx")) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/ws.okx.com:443/ws/v5/public") as ws,
    ):
        await sim.inject(Fault("malformed", channel="bbo-tbt"))
        await sim.inject(Fault("duplicate", channel="bbo-tbt"))
        await ws.send_json({"op": "subscribe", "args": [{"channel": "bbo-tbt", "instId": "BTC-USDT"}]})
        _, half, one, two, other = [(await ws.receive(5)).data for _ in range(5)]
        assert half.startswith("{")
        assert not half.endswith("}")
        assert one == two != other


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [Fault("close", code=1012), Fault("abort")])
async def test_a_broken_connection_is_an_error_and_the_next_call_connects(fault, client, watching, until):
    async with Simulator(options("okx")) as sim, client(sim, "okx") as ex:
        async with watching(lambda: ex.watch_order_book(SYMBOL)) as (seen, errors):
            await until(lambda: len(seen) > 3)
            assert await sim.inject(fault) == 1
            await until(lambda: errors)
            assert isinstance(errors[0], ccxt.NetworkError)
            count = len(seen)
            await until(lambda: len(seen) > count + 3)
        assert sim.stats()["connections_opened"] == 2


@pytest.mark.asyncio
async def test_a_fault_of_one_exchange_leaves_the_others(client, watching, until):
    both = SimulatorOptions(instruments=(SYMBOL,))
    async with Simulator(both) as sim, client(sim, "okx") as okx, client(sim, "binanceus") as binanceus:
        calls = (lambda: okx.watch_trades(SYMBOL), lambda: okx.watch_order_book(SYMBOL))
        async with watching(*calls) as (seen, errors), watching(lambda: binanceus.watch_order_book(SYMBOL)) as other:
            await until(lambda: seen and other[0])
            assert await sim.inject(Fault("abort", exchange="binanceus")) == 1
            await until(lambda: other[1])
            await asyncio.sleep(0)
            assert not errors


@pytest.mark.asyncio
async def test_a_client_that_leaves_amid_a_large_frame_leaves_no_error_behind(until):
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with Simulator(options("okx")) as sim, aiohttp.ClientSession() as session:
        for _ in range(5):
            ws = await session.ws_connect(f"{sim.url}/ws.okx.com/ws/v5/public", compress=15, max_msg_size=0)
            await ws.send_json({"op": "subscribe", "args": [{"channel": "bbo-tbt", "instId": "BTC-USDT"}]})
            await ws.receive(5)
            await sim.inject(Fault("oversize"))
            struck = len(sim.truth.frames())
            await until(lambda struck=struck: len(sim.truth.frames()) > struck)
            await sim.inject(Fault("abort"))
            await until(lambda: sim.stats()["connections"] == 0)
            await asyncio.sleep(0.3)
            gc.collect()
    assert problems == []
