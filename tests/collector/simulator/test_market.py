"""The stochastic market: the same for a seed, and like a market."""

import math
from itertools import pairwise
from statistics import correlation, median

import pytest

from fluxforge_collector.errors import InstrumentError
from fluxforge_collector.simulator.listing import decimal_text, find_listing
from fluxforge_collector.simulator.market import SLICE_US, Market

EXCHANGES = ("binanceus", "okx")
SYMBOLS = ("BTC/USDT", "ETH/USDT")
MINUTES = 10


def make(seed):
    return Market(seed, EXCHANGES, [find_listing(symbol) for symbol in SYMBOLS])


@pytest.fixture(scope="module")
def run():
    """Ten minutes: per exchange and symbol, mids and spreads each second, trades per second, all trades."""
    market = make(11)
    out = {(ex, s): {"mid": [], "spread": [], "counts": [], "trades": []} for ex in EXCHANGES for s in SYMBOLS}
    per_second = 1_000_000 // SLICE_US
    for second in range(MINUTES * 60):
        counts = dict.fromkeys(out, 0)
        for _ in range(per_second):
            market.advance()
            for key, data in out.items():
                flow = market.flows[key[0]][key[1]]
                best = flow.book.best()
                assert best is not None
                assert best.bid < best.ask, f"crossed in second {second} of seed 11"
                counts[key] += len(flow.trades)
                data["trades"] += flow.trades
        for key, data in out.items():
            best = market.flows[key[0]][key[1]].book.best()
            data["mid"].append((best.bid + best.ask) / 2)
            data["spread"].append(best.ask - best.bid)
            data["counts"].append(counts[key])
    return out


def returns(mids):
    return [math.log(b / a) for a, b in pairwise(mids)]


def test_the_same_seed_gives_the_same_market_and_another_a_different_one():
    first, second, other = make(5), make(5), make(6)
    for market in (first, second, other):
        for _ in range(500):
            market.advance()
    for exchange in EXCHANGES:
        for symbol in SYMBOLS:
            a, b, c = (m.flows[exchange][symbol] for m in (first, second, other))
            assert (a.book.bids.sizes, a.book.asks.sizes) == (b.book.bids.sizes, b.book.asks.sizes)
            assert (a.trade_id, a.last, a.volume, a.book.update_id) == (b.trade_id, b.last, b.volume, b.book.update_id)
            assert a.book.bids.sizes != c.book.bids.sizes


def test_spread_is_at_least_a_tick_and_usually_narrow(run):
    for data in run.values():
        assert min(data["spread"]) >= 1
        assert 0 < median(s / m for s, m in zip(data["spread"], data["mid"], strict=True)) < 5e-4


def test_both_exchanges_follow_one_price_and_bases_move_together(run):
    same = [
        abs(a / b - 1) for a, b in zip(run["binanceus", "BTC/USDT"]["mid"], run["okx", "BTC/USDT"]["mid"], strict=True)
    ]
    assert median(same) < 3e-4
    fives = [returns(run["binanceus", symbol]["mid"][::5]) for symbol in SYMBOLS]
    assert correlation(*fives) > 0.4


def test_trades_cluster(run):
    """Counts per second vary more than a Poisson process's, and follow one another."""
    counts = [sum(run[ex, "BTC/USDT"]["counts"][i] for ex in EXCHANGES) for i in range(MINUTES * 60)]
    mean = sum(counts) / len(counts)
    variance = sum((c - mean) ** 2 for c in counts) / len(counts)
    assert mean > 1
    assert variance / mean > 3
    assert correlation(counts[:-1], counts[1:]) > 0.15


def test_sizes_have_heavy_tails_and_like_round_numbers(run):
    sizes = sorted(t.size for t in run["binanceus", "BTC/USDT"]["trades"])
    assert sizes[-1] / median(sizes) > 50
    round_share = sum(1 for s in sizes if len(str(s).rstrip("0")) == 1) / len(sizes)
    assert round_share > 0.15


def test_trades_stay_within_the_market_and_their_ids_run(run):
    for key, data in run.items():
        ids = [t.trade_id for t in data["trades"]]
        assert ids == list(range(ids[0], ids[0] + len(ids))), key
        assert all(t.size > 0 and t.price > 0 for t in data["trades"])


def test_a_book_keeps_its_depth():
    market = make(3)
    for _ in range(20_000):
        market.advance()
    for flows in market.flows.values():
        for flow in flows.values():
            for side in (flow.book.bids, flow.book.asks):
                assert 50 <= len(side.keys) <= 400
                assert side.keys == sorted(side.keys)
                assert set(side.sizes) == {key * side.sign for key in side.keys}


@pytest.mark.parametrize(
    ("units", "digits", "text"),
    [(0, 2, "0.00"), (5, 2, "0.05"), (1050, 2, "10.50"), (7, 0, "7"), (10**12, 8, "10000.00000000")],
)
def test_decimal_text(units, digits, text):
    assert decimal_text(units, digits) == text


@pytest.mark.parametrize("symbol", ["", "BTC", "BTC/XYZ", "NO/USDT", "../../etc/x", "BTC/USDT:USDT"])
def test_an_unknown_instrument_is_named(symbol):
    with pytest.raises(InstrumentError, match="does not list"):
        find_listing(symbol)
