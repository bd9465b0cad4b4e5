"""Each kind of fault, as a client that reads the raw wire sees it."""

import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import ccxt.pro as ccxt
import orjson
import pytest

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOL = "BTC/USDT"
PATHS = {"okx": "ws.okx.com:443/ws/v5/public", "binanceus": "stream.binance.us:9443/ws/0"}
ASKS = {
    "okx": {"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]},
    "binanceus": {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1},
}


@asynccontextmanager
async def subscribed(exchange="okx", **changes):
    """A raw client subscribed to one book, and its simulator; the acknowledgement has been read."""
    options = SimulatorOptions(exchanges=(exchange,), instruments=(SYMBOL, "ETH/USDT"), speed=5, **changes)
    async with Simulator(options) as sim, aiohttp.ClientSession() as session:
        ws = await session.ws_connect(f"{sim.url}/{PATHS[exchange]}", autoping=False)
        await ws.send_json(ASKS[exchange])
        await ws.receive_json(timeout=5)
        yield sim, ws, session


async def read(ws):
    return orjson.loads((await ws.receive(5)).data)


def okx_ids(frame):
    return frame["data"][0]["prevSeqId"], frame["data"][0]["seqId"]


@pytest.mark.asyncio
async def test_reordered_frames_change_places():
    async with subscribed() as (sim, ws, _):
        _, before = okx_ids(await read(ws))
        await sim.inject(Fault("reorder", channel="orderbook"))
        late, early = okx_ids(await read(ws)), okx_ids(await read(ws))
        assert early[0] == before
        assert late[0] == early[1]
        assert okx_ids(await read(ws))[0] == late[1]
        assert [f.fault for f in sim.truth.frames()][:3] == [None, "reorder", None]


@pytest.mark.asyncio
async def test_a_delay_holds_back_everything_behind_it():
    async with subscribed() as (sim, ws, _):
        _, before = okx_ids(await read(ws))
        await sim.inject(Fault("delay", seconds=0.5))
        started = time.monotonic()
        late, behind = okx_ids(await read(ws)), okx_ids(await read(ws))
        assert time.monotonic() - started >= 0.5
        assert (late[0], behind[0]) == (before, late[1])
        assert sim.truth.faults == {"delay": 1}


@pytest.mark.asyncio
async def test_error_frame_missing_field_and_checksum():
    async with subscribed() as (sim, ws, _):
        await read(ws)
        for kind in ("error_frame", "missing_field", "checksum"):
            await sim.inject(Fault(kind, channel="orderbook"))
        assert (await read(ws))["event"] == "error"
        assert "prevSeqId" in (await read(ws))["data"][0]
        assert "prevSeqId" not in (await read(ws))["data"][0]
        assert (await read(ws))["data"][0]["checksum"] == 1
        assert sim.truth.faults == {"error_frame": 1, "missing_field": 1, "checksum": 1}


@pytest.mark.asyncio
async def test_a_gap_loses_numbers_and_nothing_else():
    async with subscribed("binanceus") as (sim, ws, _):
        last = (await read(ws))["u"]
        assert await sim.inject(Fault("gap", exchange="binanceus", symbol=SYMBOL, count=7)) == 1
        assert (await read(ws))["U"] == last + 8
        frames = sim.truth.frames(channel="orderbook")
        assert [f.fault for f in frames[:2]] == [None, None]


@pytest.mark.asyncio
@pytest.mark.parametrize(("exchange", "error"), [("binanceus", ccxt.ChecksumError), ("okx", ccxt.InvalidNonce)])
async def test_the_real_client_notices_a_gap(exchange, error, client, watching, until):
    options = SimulatorOptions(exchanges=(exchange,), instruments=(SYMBOL,), speed=3)
    async with Simulator(options) as sim, client(sim, exchange) as ex:
        async with watching(lambda: ex.watch_order_book(SYMBOL)) as (seen, errors):
            await until(lambda: len(seen) > 3)
            await sim.inject(Fault("gap"))
            await until(lambda: errors)
        assert isinstance(errors[0], error)


@pytest.mark.asyncio
async def test_silence_answers_pings_and_loses_the_frames_due():
    async with subscribed() as (sim, ws, _):
        _, before = okx_ids(await read(ws))
        assert await sim.inject(Fault("silence", seconds=0.5)) == 1
        await ws.send_str("ping")
        await ws.ping(b"here")
        answers = []
        while not {"pong", b"here"} <= set(answers):
            answers.append(bytes(data) if isinstance(data := (await ws.receive(5)).data, bytearray) else data)
        after, _ = okx_ids(await read(ws))
        lost = [f for f in sim.truth.frames() if f.fault == "silence"]
        assert before <= lost[0].previous
        while after < lost[0].sequence:
            after, _ = okx_ids(await read(ws))  # what was on its way
        assert after == lost[-1].sequence


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["mute", "half_open"])
async def test_a_dead_connection_answers_nothing_until_it_wakes(kind):
    async with subscribed() as (sim, ws, _):
        await read(ws)
        assert await sim.inject(Fault(kind, seconds=0.6)) == 1
        await ws.ping(b"here")
        started, before = time.monotonic(), []
        while time.monotonic() - started < 0.3:
            before.append((await ws.receive(5)).type)
        # what was on its way comes; the last one read came after the connection woke, a late pong perhaps
        assert set(before[:-1]) <= {aiohttp.WSMsgType.TEXT}
        assert sim.truth.faults[kind] > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["mute", "half_open"])
async def test_for_ever_dead_connections_do_not_hold_the_end(kind):
    async with asyncio.timeout(10), subscribed() as (sim, ws, _):
        await read(ws)
        await sim.inject(Fault(kind, seconds=0))


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "retry_after"), [(429, 7), (418, 120), (503, None)])
async def test_rest_errors_say_when_to_come_back(status, retry_after):
    async with subscribed("binanceus") as (sim, _, session):
        await sim.inject(Fault("rest_error", code=status, retry_after=retry_after))
        url = f"{sim.url}/api.binance.us/api/v3/time"
        async with session.get(url) as refused, session.get(url) as answered:
            assert refused.status == status
            assert refused.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
            assert answered.status == 200
        assert sim.truth.faults["rest_error"] == 1


@pytest.mark.asyncio
async def test_the_real_client_meets_429_and_slow_rest(client):
    options = SimulatorOptions(exchanges=("binanceus",), instruments=(SYMBOL,))
    async with Simulator(options) as sim, client(sim, "binanceus") as ex:
        await sim.inject(Fault("rest_error", exchange="binanceus", retry_after=3))
        with pytest.raises(ccxt.DDoSProtection):
            await ex.fetch_order_book(SYMBOL)
        assert ex.last_response_headers["Retry-After"] == "3"
        await sim.inject(Fault("slow_rest", seconds=0.3))
        started = time.monotonic()
        assert (await ex.fetch_order_book(SYMBOL))["bids"]
        assert time.monotonic() - started >= 0.3


@pytest.mark.asyncio
async def test_a_skewed_clock_shows_in_frames_and_rest():
    async with subscribed("binanceus", start_us=1_700_000_000_000_000) as (sim, ws, session):
        before = (await read(ws))["E"]
        await sim.inject(Fault("clock_skew", seconds=-3600))
        assert (await read(ws))["E"] - before < -3_590_000
        async with session.get(f"{sim.url}/api.binance.us/api/v3/time") as answer:
            assert (await answer.json())["serverTime"] < before


@pytest.mark.asyncio
async def test_a_delisted_symbol_is_silent_unlisted_and_refused():
    async with subscribed() as (sim, ws, session):
        await read(ws)
        assert await sim.inject(Fault("delist", symbol=SYMBOL)) == 1
        url = f"{sim.url}/www.okx.com/api/v5/public/instruments?instType=SPOT"
        async with session.get(url) as answer:
            assert [row["instId"] for row in (await answer.json())["data"]] == ["ETH-USDT"]
        await ws.send_json(ASKS["okx"])
        message = await read(ws)
        while "action" in message:
            message = await read(ws)
        assert message["code"] == "60018"
        with pytest.raises(ConfigError, match="nothing is listed"):
            await sim.inject(Fault("delist", symbol=SYMBOL))


@pytest.mark.asyncio
async def test_a_restart_ends_every_connection_and_serves_again(client, watching, until):
    options = SimulatorOptions(exchanges=("okx",), instruments=(SYMBOL,), speed=3)
    async with Simulator(options) as sim, client(sim, "okx") as ex:
        async with watching(lambda: ex.watch_order_book(SYMBOL)) as (seen, errors):
            await until(lambda: seen)
            restart = asyncio.create_task(sim.inject(Fault("restart", seconds=0.3)))
            await until(lambda: errors)
            assert await restart == 1
            count = len(seen)
            await until(lambda: len(seen) > count + 2)
        assert isinstance(errors[0], ccxt.NetworkError)
        assert [truth.fault.kind for truth in sim.truth.ordered] == ["restart"]
