"""Coinbase Advanced Trade's wire, as the real ccxt.pro client and a raw one read it."""

from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ("BTC/USD", "ETH/USD")


def options(**changes):
    return SimulatorOptions(**({"exchanges": ("coinbase",), "instruments": SYMBOLS, "speed": 5} | changes))


def ask(channel, *products, kind="subscribe"):
    return {"type": kind, "channel": channel, "product_ids": list(products)}


@asynccontextmanager
async def raw(**changes):
    """A raw client on one connection."""
    async with Simulator(options(**changes)) as sim, aiohttp.ClientSession() as session:
        url = f"{sim.url}/advanced-trade-ws.coinbase.com"
        yield sim, await session.ws_connect(url, max_msg_size=0)


async def read(ws, channel=None):
    while True:
        frame = orjson.loads((await ws.receive(5)).data)
        if channel in {None, frame.get("channel")}:
            return frame


def books_of(ex, *hashes):
    """The best of every book state that the client makes, in order, by value."""
    states = []
    inner = ex.client

    def client(url):
        made = inner(url)
        if not hasattr(made, "tapped"):
            made.tapped = True
            resolve = made.resolve

            def tapped(result, message_hash):
                if message_hash in hashes:
                    states.append((result["symbol"], *result["bids"][0][:2], *result["asks"][0][:2]))
                return resolve(result, message_hash)

            made.resolve = tapped
        return made

    ex.client = client
    return states


@pytest.mark.asyncio
async def test_every_book_equals_the_truth(client, watching, until):
    async with Simulator(options()) as sim, client(sim, "coinbase") as ex:
        states = books_of(ex, *(f"level2::{symbol}" for symbol in SYMBOLS))
        async with watching(lambda: ex.watch_order_book_for_symbols(list(SYMBOLS))) as (_, errors):
            await until(lambda: len(states) > 100)
        sent = [
            (f.symbol, *(float(x) for x in (f.bid, f.bid_size, f.ask, f.ask_size)))
            for f in sim.truth.frames("coinbase", channel="orderbook")
        ]
        assert not errors
        assert states == sent[: len(states)]


@pytest.mark.asyncio
async def test_the_whole_book_equals_the_market(client, watching, until):
    async with (
        Simulator(options()) as sim,
        client(sim, "coinbase") as ex,
        watching(lambda: ex.watch_order_book("BTC/USD")),
    ):
        await until(lambda: len(sim.truth.frames("coinbase", "BTC/USD", "orderbook")) > 40)
        flow = sim._feed._market.flows["coinbase"]["BTC/USD"]
        listing = flow.listing

        def is_equal():
            kept = ex.orderbooks["BTC/USD"]
            return all(
                [[float(listing.price_text(p)), float(listing.size_text(s))] for p, s in side.top(10**6)] == kept[name]
                for side, name in ((flow.book.bids, "bids"), (flow.book.asks, "asks"))
            )

        await until(is_equal)


@pytest.mark.asyncio
async def test_every_trade_is_delivered_as_sent_with_the_makers_side(client, watching, until):
    taker_of = {"buy": "sell", "sell": "buy"}
    async with Simulator(options()) as sim, client(sim, "coinbase") as ex:
        async with watching(*(lambda symbol=symbol: ex.watch_trades(symbol) for symbol in SYMBOLS)) as (seen, errors):
            await until(lambda: len(sim.truth.frames(channel="trades")) > 60)
            sent = {
                (f.symbol, str(f.sequence)): (float(f.price), float(f.size), f.side, f.timestamp_ms)
                for f in sim.truth.frames(channel="trades")
            }

            def got():
                return {
                    (t["symbol"], t["id"]): (t["price"], t["amount"], taker_of[t["side"]], t["timestamp"])
                    for trades in seen
                    for t in trades
                }

            await until(lambda: sent.keys() <= got().keys())
        assert not errors
        assert all(got()[key] == value for key, value in sent.items())


@pytest.mark.asyncio
async def test_tickers_come_and_an_alias_is_answered_under_its_twin(client, watching, until):
    async with Simulator(options(instruments=("BTC/USDC", "ETH/USD"))) as sim, client(sim, "coinbase") as ex:
        calls = (lambda: ex.watch_ticker("ETH/USD"), lambda: ex.watch_order_book("BTC/USDC"))
        async with watching(*calls) as (seen, errors):
            await until(lambda: any("last" in x for x in seen) and any("bids" in x for x in seen))
        ticker = next(x for x in seen if "last" in x)
        assert not errors
        assert ticker["bid"] < ticker["ask"]
        assert next(x for x in seen if "bids" in x)["symbol"] == "BTC/USD"


@pytest.mark.asyncio
async def test_every_message_of_a_connection_is_numbered():
    async with raw() as (sim, ws):
        for channel in ("heartbeats", "level2", "market_trades", "ticker"):
            await ws.send_json(ask(channel, "BTC-USD"))
        await ws.send_json(ask("level2", "NO-SUCH"))
        frames = [await read(ws) for _ in range(80)]
        numbered = [frame for frame in frames if "channel" in frame]
        assert [frame["sequence_num"] for frame in numbered] == list(range(len(numbered)))
        assert [f for f in frames if "channel" not in f] == [{"type": "error", "message": "failure to subscribe"}]
        assert {f["channel"] for f in numbered} == {"subscriptions", "heartbeats", "l2_data", "market_trades", "ticker"}
        listed = [f["events"][0]["subscriptions"] for f in numbered if f["channel"] == "subscriptions"]
        assert listed[-1].keys() == {"heartbeats", "level2", "market_trades", "ticker"}
        batches = [f["events"][0]["trades"] for f in numbered if f["channel"] == "market_trades"]
        ids = [[int(trade["trade_id"]) for trade in batch] for batch in batches]
        assert all(batch == sorted(batch, reverse=True) for batch in ids)
        beats = [f["events"][0]["heartbeat_counter"] for f in numbered if f["channel"] == "heartbeats"]
        assert beats == list(range(beats[0], beats[0] + len(beats)))
        truths = {f.sequence: f for f in sim.truth.frames(channel="orderbook")}
        assert all(f["sequence_num"] in truths for f in numbered if f["channel"] == "l2_data")


@pytest.mark.asyncio
async def test_a_subscription_to_trades_begins_with_those_of_the_past(until):
    async with raw() as (sim, ws), aiohttp.ClientSession() as session:
        other = await session.ws_connect(f"{sim.url}/advanced-trade-ws.coinbase.com", max_msg_size=0)
        await other.send_json(ask("market_trades", "BTC-USD"))
        await until(lambda: len(sim.truth.frames(channel="trades")) > 3)
        known = {frame.sequence for frame in sim.truth.frames(channel="trades")}
        await ws.send_json(ask("market_trades", "BTC-USD"))
        event = (await read(ws, "market_trades"))["events"][0]
        ids = [int(trade["trade_id"]) for trade in event["trades"]]
        assert event["type"] == "snapshot"
        assert ids == sorted(ids, reverse=True)[:100]
        assert known <= set(ids)


@pytest.mark.asyncio
async def test_levels_are_deleted_that_were_never_published():
    async with raw() as (_, ws):
        await ws.send_json(ask("level2", "BTC-USD"))
        known = {(u["side"], u["price_level"]) for u in (await read(ws, "l2_data"))["events"][0]["updates"]}
        unknown = 0
        for _ in range(40):
            for update in (await read(ws, "l2_data"))["events"][0]["updates"]:
                level = update["side"], update["price_level"]
                if float(update["new_quantity"]):
                    known.add(level)
                else:
                    unknown += level not in known
                    known.discard(level)
        assert unknown > 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "missing"), [(Fault("drop", channel="orderbook", count=2), 2), (Fault("gap", count=5), 5)]
)
async def test_a_lost_frame_and_a_gap_are_holes_in_the_count(fault, missing):
    async with raw() as (sim, ws):
        await ws.send_json(ask("level2", "BTC-USD"))
        last = (await read(ws, "l2_data"))["sequence_num"]
        await sim.inject(fault)
        frames = [(await read(ws))["sequence_num"] for _ in range(8)]
        assert sum(b - a - 1 for a, b in zip([last, *frames], frames, strict=False)) == missing


@pytest.mark.asyncio
async def test_a_giant_snapshot_reaches_the_real_client(client, watching, until):
    async with Simulator(options(instruments=("BTC/USD",), far_levels=25_000)) as sim, client(sim, "coinbase") as ex:
        async with watching(lambda: ex.watch_order_book("BTC/USD")) as (seen, errors):
            await until(lambda: len(seen) > 2)
            assert not errors
            assert len(ex.orderbooks["BTC/USD"]["bids"]) >= 25_000
        assert sim.truth.frames(channel="orderbook")[0].rows > 40_000


@pytest.mark.asyncio
async def test_a_giant_snapshot_is_above_five_megabytes():
    async with raw(instruments=("BTC/USD",), far_levels=25_000) as (_, ws):
        await ws.send_json(ask("level2", "BTC-USD"))
        sizes = [len((await ws.receive(10)).data) for _ in range(2)]
        assert max(sizes) > 5_000_000


@pytest.mark.asyncio
async def test_a_connection_that_subscribes_to_nothing_is_closed_and_another_is_not():
    async with raw() as (sim, ws), aiohttp.ClientSession() as session:
        other = await session.ws_connect(f"{sim.url}/advanced-trade-ws.coinbase.com", max_msg_size=0)
        await other.send_json(ask("heartbeats"))
        assert (await ws.receive(15)).data == 1008
        assert (await read(other, "heartbeats"))["channel"] == "heartbeats"


@pytest.mark.asyncio
async def test_too_many_books_on_one_connection_are_refused():
    bases = [
        "BTC",
        "ETH",
        "SOL",
        "XRP",
        "DOGE",
        "BNB",
        "ADA",
        "AVAX",
        "LINK",
        "LTC",
        "DOT",
        "BCH",
        "UNI",
        "AAVE",
        "ATOM",
        "NEAR",
    ]
    symbols = tuple(f"{base}/{quote}" for base in bases for quote in ("USD", "USDT"))
    products = [symbol.replace("/", "-") for symbol in symbols]
    async with raw(instruments=symbols, speed=0.1) as (_, ws):
        await ws.send_json(ask("level2", *products[:30]))
        assert len((await read(ws, "subscriptions"))["events"][0]["subscriptions"]["level2"]) == 30
        await ws.send_json(ask("level2", *products))
        frames = [await read(ws) for _ in range(31)]
        refused = {"type": "error", "message": "too many L2 streams requested in a single session"}
        assert [frame for frame in frames if "channel" not in frame] == [refused]
