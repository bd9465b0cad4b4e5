"""What a Coinbase book frame costs a client: a bare ccxt watch loop, our collector through ccxt, and the native one.

Run: `python tests/bench/bench_coinbase.py [frames]`. CPU µs per frame of the client's process, the same frames in one
run, each of 20 changed levels, written to the socket by another process as fast as they are taken; the median of three
runs, interleaved. A watch loop keeps the best 50 levels of the states it sees, the native feed alone those of all, both
in memory; both collectors keep all and seal them. The last line is one JSON object.
"""

import asyncio
import itertools
import json
import multiprocessing
import random
import sys
import tempfile
import time
from statistics import median

import orjson
import uvloop
from aiohttp import web

LEVELS, CHANGED, DEPTH, RUNS = 450, 20, 50, 3
SYMBOL, PRODUCT = "BTC/USD", "BTC-USD"
LAST_PRICE = "1.00"  # only the last frame has it
EVENT_TIME = "2023-02-09T20:32:50.714964Z"
PROCESSES = multiprocessing.get_context("spawn")


def frames(count, seed=1):
    """The snapshot and then the changes, as text around the place of the number."""
    rng = random.Random(seed)
    mid = 6_170_000
    levels = [("bid", mid - i) for i in range(1, LEVELS + 1)] + [("offer", mid + i) for i in range(LEVELS)]
    yield frame("snapshot", [update(side, tick, rng.random()) for side, tick in levels])
    for index in range(count):
        changed = []
        for _ in range(CHANGED):
            # most changes are near the best price
            distance = min(LEVELS, 1 + int(rng.expovariate(0.06)))
            side, tick = rng.choice((("bid", mid - distance), ("offer", mid + distance - 1)))
            changed.append(update(side, tick, 0.0 if rng.random() < 0.15 else rng.random()))
        if index == count - 1:
            changed.append(update("bid", 100, 1.0))
        yield frame("update", changed)


def update(side, tick, size):
    quantity = f"{size:.8f}" if size else "0"
    return {"side": side, "event_time": EVENT_TIME, "price_level": f"{tick / 100:.2f}", "new_quantity": quantity}


def frame(kind, updates):
    event = {"type": kind, "product_id": PRODUCT, "updates": updates}
    head = f'{{"channel":"l2_data","client_id":"","timestamp":"{EVENT_TIME}","sequence_num":'
    return head, f',"events":[{orjson.dumps(event).decode()}]}}'


def serve(ready, count):
    """A server that lists one product, and sends all frames to whoever subscribes to its book."""
    from fluxforge_collector.simulator.listing import find_listing  # noqa: PLC0415
    from fluxforge_collector.simulator.venues import VENUES  # noqa: PLC0415
    from fluxforge_collector.simulator.wire import Moment  # noqa: PLC0415

    made = list(frames(count))
    moments = {PRODUCT: Moment(find_listing(SYMBOL), None, 0, [], None, None)}

    async def answer(request):
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await talk(request)
        path = "/" + request.match_info["path"]
        return web.json_response(VENUES["coinbase"].rest(path, request.query, moments, time.time_ns() // 1000))

    async def talk(request):
        socket = web.WebSocketResponse(compress=False, max_msg_size=0)
        await socket.prepare(request)
        number = 0
        async for message in socket:
            channel = orjson.loads(message.data)["channel"]
            events = [{"subscriptions": {channel: [PRODUCT]}}]
            await socket.send_json(
                {"channel": "subscriptions", "timestamp": EVENT_TIME, "sequence_num": number, "events": events}
            )
            number += 1
            for head, tail in made if channel == "level2" else ():
                await socket.send_str(f"{head}{number}{tail}")
                number += 1
        return socket

    async def run():
        app = web.Application()
        app.router.add_route("*", "/{host}/{path:.*}", answer)
        app.router.add_route("*", "/{host}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.put(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    uvloop.run(run())


async def watch(url, count):
    """A watch loop as its documentation shows it, that keeps what it sees."""
    import ccxt.pro  # noqa: PLC0415

    from fluxforge_collector.exchanges.address import point_at  # noqa: PLC0415

    exchange, kept = ccxt.pro.coinbase(), []
    point_at(exchange, url)
    await exchange.load_markets()
    await exchange.watch_order_book(SYMBOL)
    began = time.process_time()
    while True:
        book = await exchange.watch_order_book(SYMBOL)
        kept.append([[level[:2] for level in book[side][:DEPTH]] for side in ("bids", "asks")])
        if book["bids"][-1][0] == float(LAST_PRICE):
            break
    spent = time.process_time() - began
    await exchange.close()
    return spent, len(kept)


async def collect_through(source, url, count):
    """Our collector, from the first state until everything is sealed."""
    from fluxforge_collector.config.model import Config  # noqa: PLC0415
    from fluxforge_collector.metrics import Tally  # noqa: PLC0415
    from fluxforge_collector.service import collect  # noqa: PLC0415

    wanted = {"symbols": {"orderbook": [SYMBOL]}, "orderbook_depth": DEPTH, "base_url": url}
    sections = {"ccxt": {"exchanges": {"coinbase": wanted}}, "coinbase": {"coinbase": wanted}}
    with tempfile.TemporaryDirectory() as root:
        config = Config.model_validate({"lake": {"root": root}, "metrics": {"enabled": False}, **sections[source]})
        tally, stop = Tally(), asyncio.Event()
        task = asyncio.create_task(collect(config, tally=tally, stop=stop))
        while not tally.records["coinbase", "orderbook"]:
            await asyncio.sleep(0)
        began, had = time.process_time(), tally.records["coinbase", "orderbook"]
        while tally.records["coinbase", "orderbook"] <= count:
            await asyncio.sleep(0.01)
        stop.set()
        report = await task
        spent = time.process_time() - began
        assert not tally.lost, "the queue was full"
        assert not report.gaps, report.gaps
        return spent * count / (count + 1 - had), report.records["orderbook"]


async def through_ccxt(url, count):
    return await collect_through("ccxt", url, count)


async def native(url, count):
    return await collect_through("coinbase", url, count)


async def native_alone(url, count):
    """The native feed, whose states are kept in memory as the watch loop's are."""
    from fluxforge_collector.clock import SystemClock  # noqa: PLC0415
    from fluxforge_collector.config.sources import Coinbase  # noqa: PLC0415
    from fluxforge_collector.exchanges.coinbase.exchange import CoinbaseExchange  # noqa: PLC0415
    from fluxforge_collector.exchanges.surroundings import Ends, Start  # noqa: PLC0415
    from fluxforge_collector.metrics import Tally  # noqa: PLC0415
    from fluxforge_collector.records import GapReason  # noqa: PLC0415

    kept, clock = [], SystemClock()
    ends = Ends(clock, kept.append, itertools.count().__next__, itertools.count().__next__, Tally())
    settings = Coinbase.model_validate({"symbols": {"orderbook": [SYMBOL]}, "orderbook_depth": DEPTH, "base_url": url})
    start = Start(clock.capture_us(), GapReason.DISCONNECT, is_first=True)
    task = asyncio.create_task(CoinbaseExchange(settings, ends, start=start, refuse=print).run())
    while not kept:
        await asyncio.sleep(0)
    began, had = time.process_time(), len(kept)
    while len(kept) <= count:
        await asyncio.sleep(0.01)
    spent = time.process_time() - began
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return spent * count / (count + 1 - had), len(kept)


MODES = {
    "bare ccxt watch loop": watch,
    "native feed, in memory": native_alone,
    "collector through ccxt": through_ccxt,
    "native collector": native,
}


def measure(results, mode, url, count):
    import gc  # noqa: PLC0415

    gc.set_threshold(50_000, 20, 50)  # as `fluxforge collect` does
    results.put(uvloop.run(MODES[mode](url, count)))


def in_process(target, *arguments):
    """Run in a fresh process; what it put into its queue."""
    results = PROCESSES.Queue()
    process = PROCESSES.Process(target=target, args=(results, *arguments), daemon=True)
    process.start()
    return results.get(timeout=300), process


def main(count):
    url, server = in_process(serve, count)
    found = {mode: [] for mode in MODES}
    for _ in range(RUNS):
        for mode, runs in found.items():
            run, process = in_process(measure, mode, url, count)
            process.join()
            runs.append(run)
    server.terminate()
    size = max(len(head + tail) for head, tail in list(frames(5))[1:])
    costs = {mode: median(spent for spent, _ in runs) / count * 1e6 for mode, runs in found.items()}
    print(f"{count:,} frames of {CHANGED} changed levels, {size:,} bytes each")
    for mode, cost in costs.items():
        kept = median(kept for _, kept in found[mode])
        print(f"{mode:24} {cost:8.1f} µs a frame  {kept:10,.0f} states kept")
    bare, alone, through, native_cost = costs.values()
    figures = {
        "frames": count,
        "cpu_us_per_frame": {mode: round(cost, 1) for mode, cost in costs.items()},
        "native_feed_times_faster_than_bare_ccxt": round(bare / alone, 2),
        "native_times_faster_than_through_ccxt": round(through / native_cost, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
