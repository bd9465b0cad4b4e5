"""How long until the collector notices that something is wrong, and until it records again, by fault and exchange.

Real clients over loopback at the collector's default settings. Noticed is when a subscription is made anew; recovered is
the first state of the book after that. Times count from the frame or connection struck.
"""

import asyncio
import json
import tempfile
import time

import structlog

from fluxforge_collector.config.model import Config
from fluxforge_collector.metrics import Tally
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import FRAME_FAULTS

VENUES = ("binanceus", "okx", "coinbase", "kraken", "bybit")
SYMBOL = "BTC/USDT"
FAULTS = {  # the goal in seconds until it is noticed
    "malformed": (Fault("malformed", symbol=SYMBOL, channel="orderbook"), 1),
    "drop": (Fault("drop", symbol=SYMBOL, channel="orderbook", count=2), 1),
    "close": (Fault("close", code=1012), 1),
    "abort": (Fault("abort"), 1),
    "silence": (Fault("silence", seconds=0), 15),
    "half_open": (Fault("half_open", seconds=0), 15),
}
PATIENCE_S = 60.0


class Noticed:
    """A structlog processor that keeps when each exchange made subscriptions anew, and prints nothing."""

    def __init__(self):
        self.at = {}

    def __call__(self, logger, method, event):
        if event["event"] == "resubscribing":
            self.at.setdefault(event["exchange"], time.time())
        raise structlog.DropEvent


async def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and not condition():
        await asyncio.sleep(0.002)


async def measure(kind):
    """Seconds until noticed and until recovered, by exchange."""
    noticed, tally, stop = Noticed(), Tally(), asyncio.Event()
    structlog.configure(processors=[noticed])
    fault, _ = FAULTS[kind]
    options = SimulatorOptions(seed=9, exchanges=VENUES, instruments=(SYMBOL, "ETH/USDT"), truth_limit=10**6)
    with tempfile.TemporaryDirectory() as root:
        async with Simulator(options) as sim:
            exchange = {"symbols": [SYMBOL, "ETH/USDT"], "base_url": sim.url}
            config = Config.model_validate(
                {"lake": {"root": root}, "metrics": {"enabled": False}, "exchanges": dict.fromkeys(VENUES, exchange)}
            )
            running = asyncio.create_task(collect(config, tally=tally, stop=stop))
            await until(lambda: all(tally.records[venue, "orderbook"] > 40 for venue in VENUES))
            noticed.at.clear()
            found = await asyncio.gather(*(_strike(sim, tally, noticed, venue, fault) for venue in VENUES))
            stop.set()
            await running
    return dict(zip(VENUES, found, strict=True))


async def _strike(sim, tally, noticed, venue, fault):
    began = time.time()
    await sim.inject(Fault(**{**vars(fault), "exchange": venue}))
    if fault.kind in FRAME_FAULTS:
        await until(lambda: [f for f in sim.truth.frames(exchange=venue) if f.fault])
        began = next(f.wall_us for f in sim.truth.frames(exchange=venue) if f.fault) / 1e6
    await until(lambda: venue in noticed.at)
    at = noticed.at.get(venue, float("nan"))
    await until(lambda: tally.last_us.get((venue, SYMBOL, "orderbook"), 0) / 1e6 > at + 0.005)
    return at - began, tally.last_us[venue, SYMBOL, "orderbook"] / 1e6 - began


def main():
    results = {kind: asyncio.run(measure(kind)) for kind in FAULTS}
    print("| fault | goal, noticed | " + " | ".join(VENUES) + " |")
    print("|---" * (2 + len(VENUES)) + "|")
    for kind, found in results.items():
        cells = " | ".join(f"{noticed:.2f} → {recovered:.2f} s" for noticed, recovered in found.values())
        print(f"| {kind} | ≤ {FAULTS[kind][1]} s | {cells} |")
    print(json.dumps({"bench": "recovery", "seconds": results}))


if __name__ == "__main__":
    main()
