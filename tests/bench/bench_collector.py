"""What a message costs: a bare ccxt watch loop against the collector that keeps and writes every state.

Run: `python tests/bench/bench_collector.py [--seconds 8] [--rounds 3] [--cryptofeed PYTHON]`. One simulated exchange per exchange and round sends
the same seeded market at twenty times its pace; each client is a process of its own, the two take turns, and CPU is that
of the client alone. The bare loop records the top levels of what it is given, which is only a part of the states; the
collector's CPU includes queue, journal, fsync and seals. With the Python of an environment that has cryptofeed (it wants
other versions than ours), its book callback takes its turn too, on OKX. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import ccxt.pro

from fluxforge_collector.config.model import Config
from fluxforge_collector.exchanges.address import point_at
from fluxforge_collector.metrics import Tally
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions

SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]
EXCHANGES = ("binanceus", "okx", "coinbase")
DEPTH = 50
SPEED = 20.0  # simulated seconds a second: some 800 books
PROCESSES = multiprocessing.get_context("spawn")


def serve(exchange, port):
    """The exchange, in its own process."""

    async def run():
        async with Simulator(SimulatorOptions(seed=5, exchanges=(exchange,), speed=SPEED, truth_limit=1)) as simulator:
            port.put(simulator.url)
            await simulator.wait()

    asyncio.run(run())


async def measured(frames, states, seconds):
    """CPU microseconds a frame, frames and states a run, once it flows."""
    async with asyncio.timeout(300):
        while frames() < 1000:
            await asyncio.sleep(0.05)
    before, kept, began = frames(), states(), time.process_time()
    await asyncio.sleep(seconds)
    spent, handled = time.process_time() - began, frames() - before
    return {"us": spent / handled * 1e6, "frames": handled, "states": states() - kept}


async def bare(exchange, url, seconds):
    """A watch loop as a user writes it: await, copy the top levels, again."""
    counted = {"frames": 0, "states": 0}

    class Counting(getattr(ccxt.pro, exchange)):
        def handle_message(self, client, message):
            counted["frames"] += 1
            return super().handle_message(client, message)

    venue = Counting({"options": {"fetchMarkets": {"types": ["spot"]}}})
    point_at(venue, url)
    recorded = []

    async def watch():
        while True:
            try:
                book = await venue.watch_order_book_for_symbols(SYMBOLS)
            except ccxt.BaseError:
                continue
            top = ([level[:2] for level in book["bids"][:DEPTH]], [level[:2] for level in book["asks"][:DEPTH]])
            recorded.append((book["symbol"], book["timestamp"], *top))
            counted["states"] += 1
            if len(recorded) > 5000:
                recorded.clear()

    watching = asyncio.create_task(watch())
    try:
        return await measured(lambda: counted["frames"], lambda: counted["states"], seconds)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await venue.close()


async def ours(exchange, url, seconds):
    """The collector, every state kept and written."""
    tally, stop = Tally(), asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        config = Config.model_validate(
            {
                "lake": {"root": folder},
                "metrics": {"enabled": False},
                "log_level": "error",
                "exchanges": {exchange: {"symbols": {"orderbook": SYMBOLS}, "orderbook_depth": DEPTH, "base_url": url}},
            }
        )
        collecting = asyncio.create_task(collect(config, stop=stop, tally=tally))
        try:
            return await measured(tally.frames.total, tally.records.total, seconds)
        finally:
            stop.set()
            await collecting


def run(mode, exchange, url, seconds, out):
    """One client in a process of its own, on the loop and with the garbage collection of `fluxforge collect`."""
    import gc  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    gc.set_threshold(50_000, 20, 50)
    out.put(uvloop.run({"bare": bare, "ours": ours}[mode](exchange, url, seconds)))


def once(mode, exchange, seconds, cryptofeed):
    """One figure."""
    port, out = PROCESSES.Queue(), PROCESSES.Queue()
    server = PROCESSES.Process(target=serve, args=(exchange, port), daemon=True)
    server.start()
    url = port.get(timeout=300)
    try:
        if mode == "cryptofeed":
            client = [cryptofeed, Path(__file__).with_name("cryptofeed_client.py"), url, str(seconds)]
            return json.loads(subprocess.run(client, check=True, capture_output=True, timeout=300).stdout)
        client = PROCESSES.Process(target=run, args=(mode, exchange, url, seconds, out))
        client.start()
        found = out.get(timeout=600)
        client.join(60)
        return found
    finally:
        server.kill()


def main():
    """Measure in turns, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--exchanges", default=",".join(EXCHANGES))
    parser.add_argument("--cryptofeed")
    asked = parser.parse_args()
    found = {}
    for exchange in asked.exchanges.split(","):
        runs = {"bare": [], "ours": []} | ({"cryptofeed": []} if asked.cryptofeed and exchange == "okx" else {})
        for _ in range(asked.rounds):
            for mode, its in runs.items():
                its.append(once(mode, exchange, asked.seconds, asked.cryptofeed))
        figures = {mode: round(median(one["us"] for one in its), 1) for mode, its in runs.items()}
        seen = {mode: median(one["states"] / one["frames"] for one in its) for mode, its in runs.items()}
        found[exchange] = {
            **{f"{mode}_cpu_us_per_message": us for mode, us in figures.items()},
            "ratio": round(figures["ours"] / figures["bare"], 2),
            **{f"{mode}_states_per_message": round(share, 3) for mode, share in seen.items()},
        }
        print(exchange, found[exchange], flush=True)
    print(json.dumps({"bench": "collector", **found}))


if __name__ == "__main__":
    main()
