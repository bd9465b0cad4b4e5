"""Draw a minute of the simulated market into market_minute.png: `python docs/assets/market_minute.py [seed]`."""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from fluxforge_collector.simulator.listing import find_listing
from fluxforge_collector.simulator.market import SLICE_US, Market

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
WARM_UP, MINUTE = 6_000, 3_000  # slices
DEPTH_EVERY = 5
REACH_BPS = 25.0


def observe(seed):
    """A minute of BTC/USDT on one exchange, and the mid of its other exchange and of the other bases."""
    market = Market(seed, ("binanceus", "okx"), [find_listing(symbol) for symbol in SYMBOLS])
    flow = market.flows["binanceus"]["BTC/USDT"]
    scale, lot = 10.0**-flow.listing.price_digits, 10.0**-flow.listing.size_digits
    for _ in range(WARM_UP):
        market.advance()
    seen = {"time": [], "bid": [], "ask": [], "other": [], "trades": [], "depth": [], "mids": {s: [] for s in SYMBOLS}}
    for i in range(MINUTE):
        market.advance()
        time = i * SLICE_US / 1e6
        best = flow.book.best()
        seen["time"].append(time)
        seen["bid"].append(best.bid * scale)
        seen["ask"].append(best.ask * scale)
        other = market.flows["okx"]["BTC/USDT"].book.best()
        seen["other"].append((other.bid + other.ask) / 2 * scale)
        for symbol in SYMBOLS:
            b = market.flows["binanceus"][symbol].book.best()
            seen["mids"][symbol].append((b.bid + b.ask) / 2)
        seen["trades"] += [(time, t.price * scale, t.size * lot, t.is_buy) for t in flow.trades]
        if i % DEPTH_EVERY == 0:
            mid = (best.bid + best.ask) / 2
            for side in (flow.book.bids, flow.book.asks):
                for price, size in side.top(120):
                    if abs(price / mid - 1) * 1e4 < REACH_BPS:
                        seen["depth"].append((time, price * scale, size * lot))
    return seen


def draw(seen, path):
    """The picture: depth, touch and trades; spread; trade sizes; correlated returns."""
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(4, 1, figsize=(11, 9.5), sharex=True, height_ratios=[5, 1.2, 1.2, 1.6])
    top, spread, sizes, moves = axes
    times, prices, depth = zip(*seen["depth"], strict=True)
    shade = [min(1.0, d / 0.8) ** 0.5 for d in depth]
    top.scatter(times, prices, c=shade, cmap="Greys", s=1.6, marker="s", lw=0, vmin=-0.1, vmax=1.4)
    top.step(seen["time"], seen["ask"], where="post", color="#c23b22", lw=1.0, label="best ask")
    top.step(seen["time"], seen["bid"], where="post", color="#1b7837", lw=1.0, label="best bid")
    top.step(seen["time"], seen["other"], where="post", color="#2166ac", lw=0.8, alpha=0.8, label="mid on okx")
    for is_buy, colour, label in ((True, "#1b7837", "buys"), (False, "#c23b22", "sells")):
        chosen = [t for t in seen["trades"] if t[3] is is_buy]
        area = [14 + 600 * min(0.5, t[2]) for t in chosen]
        top.scatter(
            [t[0] for t in chosen], [t[1] for t in chosen], s=area, color=colour, alpha=0.8, lw=0, zorder=4, label=label
        )
        sizes.vlines([t[0] for t in chosen], 1e-5, [t[2] for t in chosen], color=colour, lw=0.9)
    middle = (max(seen["ask"]) + min(seen["bid"])) / 2
    reach = (max(seen["ask"]) - min(seen["bid"])) / 2 + middle * 1.5e-4
    top.set(ylabel="BTC/USDT", title="A minute of the simulated market (binanceus; grey: resting depth)")
    top.set_ylim(middle - reach, middle + reach)
    top.legend(loc="upper left", ncols=5, frameon=False, fontsize=8)
    bps = [(a - b) / (a + b) * 2e4 for a, b in zip(seen["ask"], seen["bid"], strict=True)]
    spread.step(seen["time"], bps, where="post", color="#444444", lw=0.8)
    spread.set(ylabel="spread, bps", ylim=(0, None))
    sizes.set(yscale="log", ylabel="trade, BTC", ylim=(1e-5, None))
    for (symbol, mids), colour in zip(seen["mids"].items(), ("#2166ac", "#b35806", "#542788"), strict=True):
        moves.plot(seen["time"], [(m / mids[0] - 1) * 1e4 for m in mids], lw=0.9, color=colour, label=symbol)
    moves.set(ylabel="moved, bps", xlabel="seconds", xlim=(0, seen["time"][-1]))
    moves.legend(loc="upper left", ncols=3, frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(observe(int(sys.argv[1]) if len(sys.argv) > 1 else 7), Path(__file__).with_suffix(".png"))
