"""The native collector against the simulated exchange: what was sent, what was kept, and what went wrong."""

import asyncio

import pytest

from fluxforge_collector.errors import FeedError
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions

SYMBOLS = ["BTC/USD", "ETH/USD"]


def options(**changes):
    return SimulatorOptions(**({"seed": 61, "exchanges": ("coinbase",), "instruments": SYMBOLS, "speed": 5} | changes))


def best(row):
    top = [row["bids"][:1], row["asks"][:1]]
    return tuple(value for side in top for level in side for value in (level["price"], level["size"]))


def quote(frame):
    return tuple(float(text) for text in (frame.bid, frame.bid_size, frame.ask, frame.ask_size))


@pytest.mark.asyncio
async def test_every_state_trade_and_ticker_sent_is_kept_once_and_equal(config, collecting, until, rows):
    async with Simulator(options(speed=10)) as sim:
        settings = config(sim, {}, coinbase={"symbols": SYMBOLS})
        async with collecting(settings) as running:
            await until(lambda: running.states("coinbase") > 300)
        for symbol in SYMBOLS:
            truth = {f.sequence: f for f in sim.truth.frames("coinbase", symbol, "orderbook")}
            kept = [row for row in rows(settings.root, "orderbook", "coinbase") if row["symbol"] == symbol]
            assert [row["nonce"] for row in kept] == [n for n in sorted(truth) if n <= kept[-1]["nonce"]]
            assert all(best(row) == quote(truth[row["nonce"]]) for row in kept)
            truth = {str(f.sequence): f for f in sim.truth.frames("coinbase", symbol, "trades")}
            kept = [row for row in rows(settings.root, "trades", "coinbase") if row["symbol"] == symbol]
            assert [row["trade_id"] for row in kept] == list(truth)[: len(kept)]
            for row in kept:
                sent = truth[row["trade_id"]]
                assert (row["price"], row["amount"], row["side"], row["timestamp"]) == (
                    float(sent.price),
                    float(sent.size),
                    sent.side,
                    sent.timestamp_ms,
                )
    report = running.report
    assert report.gaps == {}
    assert report.refused == []
    account = report.account["coinbase"]
    assert account["received"] == sum(account.values()) - account["received"]
    assert account.keys() <= {"received", "states", "trades", "tickers", "control", "past", "after_stop"}


@pytest.mark.asyncio
async def test_a_giant_snapshot_is_a_state_like_any_other(config, collecting, until, rows):
    """Forty thousand levels and five megabytes in one frame: the state has the best fifty, and nothing breaks."""
    async with Simulator(options(instruments=SYMBOLS[:1], far_levels=25_000)) as sim:
        settings = config(sim, {}, coinbase={"symbols": SYMBOLS[:1]})
        async with collecting(settings) as running:
            await until(lambda: running.states("coinbase") > 5, 60)
        (first, *_) = sim.truth.frames("coinbase", channel="orderbook")
        assert first.rows > 40_000
        state = rows(settings.root, "orderbook", "coinbase")[0]
        assert (state["nonce"], best(state)) == (first.sequence, quote(first))
        assert len(state["bids"]) == len(state["asks"]) == 50
    assert running.tally.frame_bytes["coinbase"] > 5_000_000
    assert running.report.gaps == {}


@pytest.mark.asyncio
async def test_what_comes_under_another_name_is_kept_as_it_was_asked_for(config, collecting, until, rows):
    async with Simulator(options(instruments=("BTC/USDC", "ETH/USD"))) as sim:
        settings = config(sim, {}, coinbase={"symbols": ["BTC/USDC"]})
        async with collecting(settings) as running:
            await until(
                lambda: all(running.tally.records["coinbase", c] > 3 for c in ("orderbook", "trades", "ticker"))
            )
        for channel in ("orderbook", "trades", "ticker"):
            assert {row["symbol"] for row in rows(settings.root, channel, "coinbase")} == {"BTC/USDC"}
    assert running.report.gaps == {}


@pytest.mark.asyncio
async def test_what_is_not_listed_is_refused_once_and_the_rest_goes_on(config, collecting, until):
    async with Simulator(options(instruments=("BTC/USDC", "ETH/USD"))) as sim:
        settings = config(sim, {}, coinbase={"symbols": ["BTC/USD", "BTC/USDC", "ETH/USX", "ETH/USD"]})
        async with collecting(settings) as running:
            await until(lambda: running.states("coinbase") > 20)
    assert running.report.refused == [
        "coinbase delivers BTC/USDC as BTC/USD, which is asked for too: remove one of them",
        "coinbase has no symbol 'ETH/USX': did you mean ETH/USD? (coinbase.symbols)",
    ]


@pytest.mark.asyncio
async def test_nothing_that_is_listed_is_an_error(config):
    async with Simulator(options()) as sim:
        with pytest.raises(FeedError, match="there is nothing to collect — coinbase has no symbol 'FOO/BAR'"):
            async with asyncio.timeout(60):
                await collect(config(sim, {}, coinbase={"symbols": ["FOO/BAR"]}))


@pytest.mark.asyncio
async def test_products_are_shared_out_over_connections(config, collecting, until, rows):
    async with Simulator(options()) as sim:
        settings = config(sim, {}, coinbase={"symbols": SYMBOLS, "products_per_connection": 1})
        async with collecting(settings) as running:
            await until(lambda: {row for (_, row, _) in running.tally.last_us} == set(SYMBOLS), 30)
        books = rows(settings.root, "orderbook", "coinbase")
        assert len({(row["symbol"], row["conn"]) for row in books}) == len({row["conn"] for row in books}) == 2
    assert running.report.gaps == {}
