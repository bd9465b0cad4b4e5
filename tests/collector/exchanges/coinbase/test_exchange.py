"""The native collector against the simulated exchange: what was sent, what was kept, and what went wrong."""

import pytest

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
    assert account.keys() <= {"received", "states", "trades", "tickers", "control", "after_stop"}
