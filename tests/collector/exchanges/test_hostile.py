"""Exchanges that mean harm, or are broken: what they send harms neither bronze nor anybody else's streams."""

import math
import time

import pytest
import pytest_asyncio
from aiohttp import web

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
            refused_s = time.monotonic()
            assert sim.stats()["connections_opened"] == 0
            await until(lambda: sim.stats()["connections_opened"], 60)
            assert time.monotonic() - refused_s > 1, "our own first wait is half a second at most"
            await until(lambda: running.states("okx") > 10, 60)


NAMES = ["../../X", "..", "A\0B", "/etc/passwd", "%2e%2e", "C:\\x", "x" * 300, ""]
NOT_WHOLE = [{}, {"instType": "SPOT"}, {"instId": None, "baseCcy": None}, {"instId": "X-Y", "tickSz": "much"}]


def listed(base, quote="USDT"):
    names = {"instId": f"{base}-{quote}", "baseCcy": base, "quoteCcy": quote, "instType": "SPOT", "state": "live"}
    return names | {"tickSz": "0.1", "lotSz": "0.01", "minSz": "0.01", "listTime": "1548133413000"}


@pytest_asyncio.fixture
async def hostile_list():
    """The address of an OKX that has nothing but a list of markets: bogus, broken and path-like ones, and thousands."""
    markets = [*map(listed, [*NAMES, "BTC"]), *NOT_WHOLE, *(listed(f"X{n}") for n in range(5000))]

    async def answer(request):
        is_list = request.path.endswith("/public/instruments") and request.query.get("instType") == "SPOT"
        return web.json_response({"code": "0", "msg": "", "data": markets if is_list else []})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.asyncio
async def test_names_in_a_list_of_markets_become_no_paths_and_hide_no_other(
    hostile_list, config, collecting, until, rows, tmp_path
):
    asked = ["../../X/USDT", "../USDT", "A\0B/USDT", "BTC/USDT", "X7/USDT"]
    async with Simulator(SimulatorOptions(seed=54, speed=3)) as sim:
        settings = config(sim, {"okx": {"symbols": [*asked, "X7/USTD"]}, "binanceus": {"symbols": SYMBOLS}})
        hostile = settings.exchanges["okx"].model_copy(update={"base_url": hostile_list})
        settings = settings.model_copy(update={"exchanges": settings.exchanges | {"okx": hostile}})
        async with collecting(settings) as running:
            await until(lambda: running.tally.refused and running.states("binanceus") > 40, 60)
    assert running.report.refused == ["okx has no symbol 'X7/USTD': did you mean X7/USDT? (exchanges.okx.symbols)"]
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parts[:4] for path in files} == {("lake", "raw", stage, "ccxt") for stage in ("active", "ready")}
    assert not [path for path in files if len(path.parts) > 6 or not path.name.lstrip(".").isprintable()]
    assert {gap["symbol"] for gap in rows(settings.root, "gaps") if gap["exchange"] == "okx"} <= set(asked)
    assert "binanceus" not in {exchange for exchange, _ in running.tally.gaps}
