"""Trades that a connection did not bring, fetched again by the real client from the simulated exchange."""

import asyncio
from types import SimpleNamespace
from typing import ClassVar

import pytest
import structlog

from fluxforge_collector.exchanges.gaps import Gap, Stream
from fluxforge_collector.exchanges.last_ids import LastIds
from fluxforge_collector.exchanges.missing_trades import Missing
from fluxforge_collector.exchanges.trade_backfill import TradeBackfill
from fluxforge_collector.exchanges.trade_pages import History
from fluxforge_collector.records import Channel, GapReason
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ("BTC/USDT", "ETH/USDT")
ONE_SEGMENT = {"segment_max_seconds": 86_400}
HALF_A_SECOND = 500_000


async def lose_trades(sim, venue, running, until, least=6):
    """The venue falls silent for some trades of each symbol, then hangs up; returns once all are here."""
    await until(lambda: all((venue, symbol, "trades") in running.tally.last_us for symbol in SYMBOLS), 60)
    await sim.inject(Fault("silence", exchange=venue, seconds=60))
    await until(lambda: all(len(unsent(sim, venue, symbol)) >= least for symbol in SYMBOLS), 60)
    await sim.inject(Fault("abort", exchange=venue))


def unsent(sim, venue, symbol):
    frames = sim.truth.frames(exchange=venue, symbol=symbol, channel="trades")
    return [frame for frame in frames if frame.fault == "silence"]


def of(rows, symbol):
    return [row for row in rows if row["symbol"] == symbol]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("source", "venue"),
    [
        *(("ccxt", venue) for venue in ("binanceus", "okx", "coinbase", "kraken", "bybit")),
        pytest.param("ccxt", "binance", marks=pytest.mark.slow),
        ("coinbase", "coinbase"),
    ],
)
async def test_trades_during_a_disconnect_are_kept_once_and_leave_no_gap(
    source, venue, config, collecting, until, rows
):
    asked = {"symbols": {"trades": SYMBOLS}}
    async with Simulator(SimulatorOptions(seed=41, exchanges=(venue,), instruments=SYMBOLS)) as sim:
        through_ccxt = source == "ccxt"
        settings = config(
            sim, {venue: asked} if through_ccxt else {}, coinbase=None if through_ccxt else asked, **ONE_SEGMENT
        )
        async with collecting(settings) as running:
            await lose_trades(sim, venue, running, until)
            await until(lambda: running.tally.backfills[venue, "whole"] == len(SYMBOLS), 60)
            trades = running.tally.records[venue, "trades"]
            await until(lambda: running.tally.records[venue, "trades"] > trades + 4, 60)
    bronze = rows(settings.root, "trades", source)
    for symbol in SYMBOLS:
        kept = {int(row["trade_id"]): row for row in of(bronze, symbol)}
        assert len(kept) == len(of(bronze, symbol)), "each trade once"
        assert sorted(kept) == list(range(min(kept), max(kept) + 1)), "every trade"
        for frame in sim.truth.frames(exchange=venue, symbol=symbol, channel="trades"):
            row = kept.get(frame.sequence)
            if row is not None:
                found = (row["price"], row["amount"], row["side"], row["timestamp"])
                assert found == (float(frame.price), float(frame.size), frame.side, frame.timestamp_ms)
        lost = [kept[frame.sequence] for frame in unsent(sim, venue, symbol)]
        assert all(row["backfilled"] and row["conn"] == -1 for row in lost)
        in_order = [kept[trade_id]["capture_ts"] for trade_id in sorted(kept)]
        assert in_order == sorted(in_order)
        for row in lost:
            late_us = row["capture_ts"].timestamp() * 1e6 - row["timestamp"] * 1000
            assert abs(late_us) < HALF_A_SECOND, "each at the time when it would have come"
    assert rows(settings.root, "gaps", source) == []
    assert running.report.gaps == {}


@pytest.mark.asyncio
async def test_without_backfill_the_gap_stays(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=42, exchanges=("okx",), instruments=SYMBOLS, speed=5)) as sim:
        exchanges = {"okx": {"symbols": {"trades": SYMBOLS}, "backfill_trades": False}}
        settings = config(sim, exchanges, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await lose_trades(sim, "okx", running, until)
            await until(lambda: running.tally.gaps["okx", "disconnect"] == len(SYMBOLS), 60)
    assert not any(row["backfilled"] for row in rows(settings.root, "trades"))
    gaps = rows(settings.root, "gaps")
    assert {(gap["symbol"], gap["channel"], gap["reason"]) for gap in gaps} == {
        (s, "trades", "disconnect") for s in SYMBOLS
    }


@pytest.mark.asyncio
async def test_an_exchange_that_refuses_leaves_the_gap_with_a_word(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=43, exchanges=("binanceus",), instruments=SYMBOLS, speed=5)) as sim:
        settings = config(sim, {"binanceus": {"symbols": {"trades": SYMBOLS}}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.tally.records["binanceus", "trades"] > 20)
            await sim.inject(Fault("rest_error", exchange="binanceus", code=404, count=100))
            await sim.inject(Fault("abort", exchange="binanceus"))
            await until(lambda: running.tally.gaps["binanceus", "disconnect"] == len(SYMBOLS), 60)
    assert {gap["detail"].split(";")[0] for gap in rows(settings.root, "gaps")} == {"0 trades fetched again"}


@pytest.mark.asyncio
async def test_a_gap_told_of_while_it_is_open_is_taken_back_when_all_came(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=44, exchanges=("okx",), instruments=SYMBOLS, speed=3)) as sim:
        settings = config(sim, {"okx": {"symbols": {"trades": SYMBOLS}}}, segment_max_seconds=1)
        async with collecting(settings) as running:
            await lose_trades(sim, "okx", running, until)
            await until(lambda: running.tally.backfills["okx", "whole"] == len(SYMBOLS), 60)
    gaps = rows(settings.root, "gaps")
    for symbol in SYMBOLS:
        told = [gap for gap in of(gaps, symbol) if gap["lost"] is None]
        (back,) = [gap for gap in of(gaps, symbol) if gap["lost"] == 0]
        assert back["gap_start"] == min(gap["gap_start"] for gap in told)
        assert back["gap_end"] == max(gap["gap_end"] for gap in told)


@pytest.mark.asyncio
async def test_what_is_given_up_while_it_is_fetched_is_not_said_to_have_come(until):
    stream = Stream(Channel.TRADES, "BTC/USDT")
    missing = Missing(stream, Gap(0, GapReason.DISCONNECT, None), None, LastIds())

    class Source:
        markets: ClassVar = {stream.symbol: {}}
        last_response_headers = None
        is_asked = False

        async def fetch_trades(self, *_):
            recorder.missing.clear()
            self.is_asked = True
            return []

    source, recorder = Source(), SimpleNamespace(exchange="x", missing=[missing])
    with structlog.testing.capture_logs() as said:
        task = asyncio.create_task(TradeBackfill(source, recorder, History(), settle_s=0).run())
        await until(lambda: source.is_asked or task.done())
        await asyncio.sleep(0.05)
    assert not task.done(), "there is nothing to restore it in"
    assert said == []
    task.cancel()
