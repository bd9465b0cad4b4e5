"""The collector as a whole: an orderly end, a death at any moment, the real recording, and a disk that refuses."""

import asyncio
import bisect
import itertools
import multiprocessing
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import aiohttp
import pyarrow.parquet as pq
import pytest
import yaml
from support.account import gaps_of

from fluxforge_collector.cli import main
from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["fluxforge_collector.service", "fluxforge_collector.exchanges.ccxt_exchange"])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SYMBOLS = ["BTC/USDT", "ETH/USDT"]


def micros(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def manifests(root):
    return [read_manifest(path) for path in sorted(Path(root).glob("raw/ready/ccxt/segment_*.json"))]


@pytest.mark.asyncio
async def test_an_orderly_stop_seals_everything(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=21, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS}}, segment_max_seconds=2)
        async with collecting(settings) as running:
            await until(lambda: running.tally.segments >= 2)
    report = running.report
    assert not list(settings.root.glob("raw/active/**/*.arrow"))
    sealed = manifests(settings.root)
    assert [m.final for m in sealed] == [False] * (len(sealed) - 1) + [True]
    assert len(sealed) == report.segments
    assert all(a.to_us == b.from_us for a, b in pairwise(sealed))
    for channel, count in report.records.items():
        assert len(rows(settings.root, channel)) == count
    assert report.frames == report.account["okx"]["received"]
    assert report.lost == 0


@pytest.mark.asyncio
async def test_a_second_run_says_how_long_nothing_was_collected(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=22, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS, "backfill_trades": False}})
        for _ in range(2):
            async with collecting(settings) as running:
                await until(lambda: running.states("okx") > 10)
    sealed = manifests(settings.root)
    last = next(index for index, manifest in enumerate(sealed) if manifest.final)
    first, second = sealed[last : last + 2]
    again_at = EPOCH + timedelta(microseconds=second.from_us)
    gaps = rows(settings.root, "gaps")
    assert {gap["reason"] for gap in gaps} == {"shutdown"}
    assert {micros(gap["gap_start"]) for gap in gaps if gap["gap_start"] < again_at} == {first.to_us}
    for symbol, channel in itertools.product(SYMBOLS, ("orderbook", "ticker", "trades")):
        mine = [gap for gap in gaps if (gap["symbol"], gap["channel"]) == (symbol, channel)]
        assert all(a["gap_end"] == b["gap_start"] for a, b in pairwise(mine)), "no moment is left out"
        assert mine[0]["gap_start"] < again_at <= mine[-1]["gap_end"]
        if channel == "orderbook":
            books = [row for row in rows(settings.root, "orderbook") if row["symbol"] == symbol]
            assert mine[-1]["gap_end"] == min(row["capture_ts"] for row in books if row["capture_ts"] > again_at)


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", ["binanceus", "bybit"])
async def test_trades_between_two_runs_are_fetched_and_the_gap_of_them_taken_back(
    venue, config, collecting, until, rows
):
    async with Simulator(SimulatorOptions(seed=29, exchanges=(venue,), instruments=SYMBOLS)) as sim:
        settings = config(sim, {venue: {"symbols": {"trades": SYMBOLS}}})
        for run in range(2):
            async with collecting(settings) as running:
                await until(lambda: running.tally.backfills[venue, "whole"] == run * len(SYMBOLS), 60)  # noqa: B023
                await until(lambda: all((venue, s, "trades") in running.tally.last_us for s in SYMBOLS), 60)
            stopped_us = sim.current_us
            await until(lambda: sim.current_us > stopped_us + 3_000_000)  # noqa: B023
    kept = rows(settings.root, "trades")
    for symbol in SYMBOLS:
        mine = [row for row in kept if row["symbol"] == symbol]
        ids = [int(row["trade_id"]) for row in mine]
        assert ids == list(range(ids[0], ids[0] + len(ids))), "every trade once, in order of capture"
        assert any(row["backfilled"] for row in mine)
    assert rows(settings.root, "gaps")
    assert not gaps_of(settings.root, "ccxt")


@pytest.mark.asyncio
async def test_nothing_configured_is_an_error():
    with pytest.raises(ConfigError, match="names no exchange"):
        await collect(Config())


@pytest.mark.asyncio
async def test_what_is_collected_is_shown_to_whoever_watches(config, collecting, until, unused_port):
    async with Simulator(SimulatorOptions(seed=23, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": ["BTC/USDT"]}})
        settings = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"port": unused_port})})
        address = f"http://127.0.0.1:{unused_port}"
        async with collecting(settings) as running, aiohttp.ClientSession() as session:
            await until(lambda: running.states("okx") > 10)
            async with session.get(f"{address}/metrics") as answer:
                text = await answer.text()
            for path in ("/livez", "/readyz"):
                async with session.get(address + path) as answer:
                    assert (answer.status, await answer.text()) == (200, "ok\n")
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{unused_port}"):
                await collect(
                    settings.model_copy(
                        update={"lake": settings.lake.model_copy(update={"root": f"{settings.root}-2"})}
                    )
                )
    assert 'fluxforge_records_total{channel="orderbook",exchange="okx"}' in text
    assert 'fluxforge_last_seen_age_seconds{channel="orderbook",exchange="okx",symbol="BTC/USDT"}' in text


class SteppedClock(SystemClock):
    """The machine's clock, whose wall clock a test moves."""

    moved_us = 0

    def wall_us(self):
        return super().wall_us() + self.moved_us

    def anchor(self):
        super().anchor()
        self._offset_us += self.moved_us


@pytest.mark.asyncio
@pytest.mark.parametrize("step_s", [7, -7])
async def test_a_step_of_the_wall_clock_becomes_a_gap_and_time_never_runs_back(step_s, config, collecting, until, rows):
    clock = SteppedClock()
    async with Simulator(SimulatorOptions(seed=24, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": ["BTC/USDT"]}}, segment_max_seconds=1)
        async with collecting(settings, clock=clock) as running:
            await until(lambda: running.states("okx") > 10)
            clock.moved_us = step_s * 1_000_000
            await until(lambda: running.gaps("okx", "clock"))
            states = running.states("okx")
            await until(lambda: running.states("okx") > states + 10)
    gaps = rows(settings.root, "gaps")
    assert [(g["channel"], g["reason"]) for g in gaps] == [("all", "clock")]
    assert gaps[0]["detail"].startswith(f"the wall clock moved by {step_s:+}")
    assert (gaps[0]["gap_end"] - gaps[0]["gap_start"] > timedelta(seconds=5)) == (step_s > 0)
    books = sorted(rows(settings.root, "orderbook"), key=lambda row: row["seq"])
    times = [row["capture_ts"] for row in books]
    assert times == sorted(times)


@pytest.mark.asyncio
async def test_killed_at_any_moment_it_keeps_what_was_flushed_once_and_marks_the_rest(config, until, rows, tmp_path):
    """Every frame sent is in bronze once, or was on its way inside a gap; however often the collector dies."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Simulator(SimulatorOptions(seed=25, speed=3)) as sim:
        exchanges = {venue: {"symbols": SYMBOLS} for venue in ("binanceus", "okx")}
        settings = config(sim, exchanges, segment_max_seconds=1)
        file = tmp_path / "fluxforge.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
        arguments = ["collect", "--config", str(file), "--json"]
        for _ in range(4):
            process = PROCESSES.Process(target=main, args=(arguments,))
            process.start()
            try:
                begun = len(sim.truth.frames(channel="orderbook"))
                await until(lambda: len(sim.truth.frames(channel="orderbook")) > begun + 40, 60)  # noqa: B023
                await asyncio.sleep(chance.uniform(0, 2))
            finally:
                process.kill()
                process.join()
        process = PROCESSES.Process(target=main, args=(arguments,))
        process.start()
        begun = len(sim.truth.frames(channel="orderbook"))
        await until(lambda: len(sim.truth.frames(channel="orderbook")) > begun + 40, 60)
        process.terminate()
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
    assert not list(settings.root.glob("raw/active/**/*.arrow"))
    gaps = rows(settings.root, "gaps")
    assert {gap["reason"] for gap in gaps} <= {"crash", "sequence"}
    for channel, key in (("orderbook", "nonce"), ("trades", "trade_id")):
        kept = rows(settings.root, channel)
        for exchange in exchanges:
            for symbol in SYMBOLS:
                mine = [row for row in kept if (row["exchange"], row["symbol"]) == (exchange, symbol)]
                mine.sort(key=lambda row: int(row[key]))
                keys = [int(row[key]) for row in mine]
                assert len(set(keys)) == len(keys)
                inside = [
                    (micros(gap["gap_start"]), micros(gap["gap_end"]))
                    for gap in gaps
                    if (gap["exchange"], gap["symbol"]) == (exchange, symbol) and gap["channel"] in {channel, "all"}
                ]
                assert len(inside) >= 4
                captured = [micros(row["capture_ts"]) for row in mine]
                for frame in sim.truth.frames(exchange=exchange, symbol=symbol, channel=channel):
                    if keys[0] < frame.sequence < keys[-1] and frame.sequence not in set(keys):
                        # it was on its way between its neighbours that were kept: a gap must break that step
                        after = bisect.bisect(keys, frame.sequence)
                        before, then = captured[after - 1], captured[after]
                        assert any(before < end and then > start for start, end in inside), frame


@pytest.mark.real_data
@pytest.mark.asyncio
async def test_the_recording_of_binance_is_kept_exactly(config, collecting, until, rows, recordings):
    """Two instruments across UTC midnight, as fast as they are taken: books by every level, trades by every value."""
    options = SimulatorOptions(captures=tuple(sorted(recordings.glob("*.gz"))), speed="max", quiet_s=0.3)
    async with Simulator(options) as sim:
        channels = {"orderbook": SYMBOLS, "trades": SYMBOLS}
        settings = config(sim, {"binanceus": {"symbols": channels}}, segment_max_seconds=60)
        async with collecting(settings) as running:
            await until(lambda: sim.is_finished, seconds=180)
    assert running.report.gaps == {}
    books, trades = rows(settings.root, "orderbook"), rows(settings.root, "trades")
    for symbol in SYMBOLS:
        name = f"binance_spot_{symbol.replace('/', '').lower()}_20240808-09"
        recorded = {row["nonce"]: row for row in pq.read_table(recordings / f"{name}_book.parquet").to_pylist()}
        quotes = {row["u"]: row for row in pq.read_table(recordings / f"{name}_bookticker.parquet").to_pylist()}
        mine = [row for row in books if row["symbol"] == symbol]
        assert [row["nonce"] for row in mine if row["nonce"] in recorded] == list(recorded)
        compared = 0
        for row in mine:
            if row["nonce"] in quotes:
                bid, ask, quote = row["bids"][0], row["asks"][0], quotes[row["nonce"]]
                assert (bid["price"], bid["size"]) == (quote["bid"], quote["bid_size"])
                assert (ask["price"], ask["size"]) == (quote["ask"], quote["ask_size"])
                compared += 1
            if row["nonce"] in recorded:
                twin = recorded[row["nonce"]]
                assert row["timestamp"] == twin["timestamp"]
                for side in ("bids", "asks"):
                    levels = [(level["price"], level["size"]) for level in twin[side][:50]]
                    assert [(level["price"], level["size"]) for level in row[side]] == levels
        assert compared > 1000
        recorded = pq.read_table(recordings / f"{name}_trades.parquet").to_pylist()
        mine = [row for row in trades if row["symbol"] == symbol]
        assert len(mine) == len(recorded)
        for row, twin in zip(mine, recorded, strict=True):
            assert (row["trade_id"], row["price"], row["amount"], row["side"]) == (
                str(twin["id"]),
                twin["price"],
                twin["amount"],
                twin["side"],
            )
    assert running.report.account["binanceus"].keys() <= {
        "received",
        "states",
        "trades",
        "control",
        "before_snapshot",
        "stale_update",
    }
