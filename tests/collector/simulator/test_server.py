"""The wire, as the real ccxt.pro client reads it."""

import asyncio

import aiohttp
import pytest

from fluxforge_collector.errors import ConfigError, StorageError
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
EXCHANGES = ["binanceus", "okx", "binance"]


def options(exchange, **changes):
    return SimulatorOptions(exchanges=(exchange,), instruments=tuple(SYMBOLS), **changes)


def tap_books(ex):
    """Every book state the client makes, by value, with its nonce."""
    states = []
    inner = ex.client

    def client(url):
        made = inner(url)
        if not hasattr(made, "tapped"):
            made.tapped = True
            resolve = made.resolve

            def tapped(result, message_hash):
                if hasattr(result, "cache") and result.get("nonce") is not None:
                    states.append((result["symbol"], result["nonce"], [*result["bids"][0][:2], *result["asks"][0][:2]]))
                return resolve(result, message_hash)

            made.resolve = tapped
        return made

    ex.client = client
    return states


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_books_equal_the_truth_at_equal_nonce(exchange, client, watching, until):
    async with Simulator(options(exchange, speed=4)) as sim, client(sim, exchange) as ex:
        states = tap_books(ex)
        async with watching(lambda: ex.watch_order_book_for_symbols(SYMBOLS)) as (_, errors):
            await until(lambda: len(states) > 120)
        truth = {
            (f.symbol, f.sequence): [float(x) for x in (f.bid, f.bid_size, f.ask, f.ask_size)]
            for f in sim.truth.frames(exchange, channel="orderbook")
        }
        compared = [(truth[symbol, nonce], best) for symbol, nonce, best in states if (symbol, nonce) in truth]
        assert not errors
        assert {symbol for symbol, _, _ in states} == set(SYMBOLS)
        assert len(compared) >= len(states) - 2 * len(SYMBOLS)  # a REST snapshot may lie between two frames
        assert all(true == best for true, best in compared)


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_whole_book_equals_the_market(exchange, client, watching, until):
    """Deep levels too: what the client keeps is the simulated book, level by level."""
    async with (
        Simulator(options(exchange, speed=4)) as sim,
        client(sim, exchange) as ex,
        watching(lambda: ex.watch_order_book_for_symbols(SYMBOLS)),
    ):
        await until(lambda: len(sim.truth.frames(exchange, "BTC/USDT", "orderbook")) > 60)
        flow = sim._feed._market.flows[exchange]["BTC/USDT"]
        published = flow.book.published_id
        await until(lambda: ex.orderbooks["BTC/USDT"]["nonce"] == flow.book.update_id == flow.book.published_id)
        assert flow.book.update_id >= published
        kept = ex.orderbooks["BTC/USDT"]
        for side, name in ((flow.book.bids, "bids"), (flow.book.asks, "asks")):
            true = [[float(flow.listing.price_text(p)), float(flow.listing.size_text(s))] for p, s in side.top(10**6)]
            assert [level[:2] for level in kept[name]] == true


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", [*EXCHANGES, "kraken", "bybit"])
async def test_every_trade_is_delivered_as_sent(exchange, client, watching, until):
    async with Simulator(options(exchange, speed=5)) as sim, client(sim, exchange) as ex:
        async with watching(*(lambda symbol=symbol: ex.watch_trades(symbol) for symbol in SYMBOLS)) as (seen, errors):
            await until(lambda: len(sim.truth.frames(exchange, channel="trades")) > 60)
            sent = {
                (f.symbol, str(f.sequence)): (float(f.price), float(f.size), f.side, f.timestamp_ms)
                for f in sim.truth.frames(exchange, channel="trades")
            }

            def got():
                return {
                    (t["symbol"], t["id"]): (t["price"], t["amount"], t["side"], t["timestamp"])
                    for trades in seen
                    for t in trades
                }

            await until(lambda: sent.keys() <= got().keys())
        assert not errors
        assert all(got()[key] == value for key, value in sent.items())


@pytest.mark.asyncio
async def test_tickers_of_binanceus_come_in_both_forms(client, watching, until):
    async with Simulator(options("binanceus", speed=5)) as sim, client(sim, "binanceus") as ex:
        calls = (lambda: ex.watch_ticker("BTC/USDT"), lambda: ex.watch_ticker("ETH/USDT", {"name": "ticker"}))
        async with watching(*calls) as (seen, errors):
            await until(lambda: {t["symbol"] for t in seen} == set(SYMBOLS))
        mini = next(t for t in seen if t["symbol"] == "BTC/USDT")
        full = next(t for t in seen if t["symbol"] == "ETH/USDT")
        assert not errors
        assert mini["bid"] is None
        assert mini["last"] > 0
        assert full["bid"] < full["ask"]
        assert full["low"] <= full["last"] <= full["high"]


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", ["binanceus", "okx"])
async def test_best_quotes_equal_the_truth(exchange, client, watching, until):
    async with Simulator(options(exchange)) as sim, client(sim, exchange) as ex:
        async with watching(lambda: ex.watch_bids_asks(["BTC/USDT"])) as (seen, errors):
            await until(lambda: len(seen) > 20)
        sent = {(float(f.bid), float(f.ask)) for f in sim.truth.frames(exchange, "BTC/USDT") if f.bid}
        assert not errors
        assert {(quotes["BTC/USDT"]["bid"], quotes["BTC/USDT"]["ask"]) for quotes in seen} <= sent


@pytest.mark.asyncio
async def test_okx_tickers(client, watching, until):
    async with Simulator(options("okx")) as sim, client(sim, "okx") as ex:
        async with watching(lambda: ex.watch_tickers(SYMBOLS)) as (seen, errors):
            await until(lambda: {symbol for tickers in seen for symbol in tickers} == set(SYMBOLS))
        assert not errors
        assert all(t["bid"] < t["ask"] for tickers in seen for t in tickers.values())


@pytest.mark.asyncio
async def test_okx_answers_a_text_ping_and_refuses_an_unknown_instrument():
    async with (
        Simulator(options("okx")) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/ws.okx.com:443/ws/v5/public") as ws,
    ):
        await ws.send_str("ping")
        assert (await ws.receive()).data == "pong"
        await ws.send_json({"op": "subscribe", "args": [{"channel": "books", "instId": "NO-SUCH"}]})
        assert (await ws.receive_json())["code"] == "60018"


@pytest.mark.asyncio
async def test_websocket_pings_are_answered():
    async with (
        Simulator(options("binanceus")) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/stream.binance.us:9443/ws/0", autoping=False) as ws,
    ):
        await ws.ping(b"here")
        message = await ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"here")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text", ["not json", "[]", '{"method":"SUBSCRIBE","params":7,"id":1}', '{"op":1}', '{"op":"subscribe","args":[3]}']
)
@pytest.mark.parametrize("exchange", ["binanceus", "okx"])
async def test_nonsense_from_a_client_leaves_the_others_alone(exchange, text, client, watching, until):
    async with Simulator(options(exchange)) as sim, client(sim, exchange) as ex, aiohttp.ClientSession() as session:
        host = {"binanceus": "stream.binance.us:9443/ws/0", "okx": "ws.okx.com:443/ws/v5/public"}[exchange]
        async with session.ws_connect(f"{sim.url}/{host}") as ws:
            await ws.send_str(text)
            assert "error" in (await ws.receive(5)).data
            async with watching(lambda: ex.watch_order_book("BTC/USDT")) as (seen, errors):
                await until(lambda: len(seen) > 3)
            assert not errors


@pytest.mark.asyncio
async def test_unknown_host_and_path_are_404():
    async with Simulator(options("binanceus")) as sim, aiohttp.ClientSession() as session:
        for path in ("/api.example.com/x", "/api.binance.us/api/v3/nothing", "/api.binance.us/api/v3/depth?symbol=X"):
            async with session.get(sim.url + path) as answer:
                assert answer.status == 404


@pytest.mark.asyncio
async def test_control_takes_faults_and_gives_stats():
    async with Simulator(options("binanceus")) as sim, aiohttp.ClientSession() as session:
        async with session.post(f"{sim.url}/_control/fault", json={"kind": "drop", "count": 2}) as answer:
            assert answer.status == 200
        for wrong in ({"kind": "nothing"}, {"kind": "drop", "how": 1}, {"kind": "drop", "count": "x"}, [], {}):
            async with session.post(f"{sim.url}/_control/fault", json=wrong) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"]
        async with session.get(f"{sim.url}/_control/stats") as answer:
            assert (await answer.json())["frames_sent"] == 0


@pytest.mark.asyncio
async def test_a_taken_port_and_an_unwritable_truth_file_are_named(tmp_path):
    async with Simulator(options("okx")) as sim:
        with pytest.raises(ConfigError, match=str(sim.port)):
            async with Simulator(options("okx", port=sim.port)):
                pass
    with pytest.raises(StorageError, match="nowhere"):
        async with Simulator(options("okx", truth_file=tmp_path / "nowhere" / "truth.jsonl")):
            pass


@pytest.mark.asyncio
async def test_a_lost_client_does_not_hold_the_market_at_speed_max(client, watching, until):
    async with (
        Simulator(options("binanceus", speed="max")) as sim,
        client(sim, "binanceus") as ex,
        watching(lambda: ex.watch_trades("BTC/USDT")),
    ):
        await until(lambda: len(sim.truth.frames(channel="trades")) > 100)
        assert await sim.inject(Fault("abort")) >= 1
        count = len(sim.truth.frames(channel="trades"))
        await until(lambda: len(sim.truth.frames(channel="trades")) > count + 100)


@pytest.mark.asyncio
async def test_leaving_with_clients_connected_is_quick():
    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(10), Simulator(options("okx")) as sim:
            ws = await session.ws_connect(f"{sim.url}/ws.okx.com:443/ws/v5/public")
        assert (await ws.receive(5)).type is aiohttp.WSMsgType.CLOSE
