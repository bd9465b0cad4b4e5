"""Two sources in one collector: one clock and one tally, and nothing else that one could break for the other."""

import asyncio
import itertools
import multiprocessing
import random

import aiohttp
import pytest
import yaml
from support.account import settle_lake

from fluxforge_collector.cli import main
from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.errors import StorageError
from fluxforge_collector.metrics import Tally
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.service import collect
from fluxforge_collector.service.plan import Plan
from fluxforge_collector.service.source import Source
from fluxforge_collector.simulator import Simulator, SimulatorOptions

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["fluxforge_collector.service", "fluxforge_collector.exchanges.ccxt_exchange"])
OKX, COINBASE = {"okx": {"symbols": ["BTC/USDT"]}}, {"symbols": ["BTC/USD"]}
CHANNELS = ("orderbook", "trades", "ticker")


def options(**changes):
    both = {"exchanges": ("okx", "coinbase"), "instruments": ("BTC/USDT", "BTC/USD"), "speed": 5, "seed": 81}
    return SimulatorOptions(**(both | changes))


def manifests(root, source):
    return [read_manifest(path) for path in sorted(root.glob(f"raw/ready/{source}/segment_*.json"))]


@pytest.mark.asyncio
async def test_each_source_has_segments_of_its_own_and_arrivals_are_counted_once(config, collecting, until, rows):
    async with Simulator(options()) as sim:
        settings = config(sim, OKX, coinbase=COINBASE, segment_max_seconds=2)
        async with collecting(settings) as running:
            await until(lambda: min(running.states("okx"), running.states("coinbase")) > 60)
    kept = [row for source in ("ccxt", "coinbase") for c in CHANNELS for row in rows(settings.root, c, source)]
    assert {row["exchange"] for c in CHANNELS for row in rows(settings.root, c, "ccxt")} == {"okx"}
    assert {row["exchange"] for c in CHANNELS for row in rows(settings.root, c, "coinbase")} == {"coinbase"}
    assert len({row["seq"] for row in kept}) == len(kept) == sum(running.report.records.values())
    connections = [{r["conn"] for r in rows(settings.root, "orderbook", source)} for source in ("ccxt", "coinbase")]
    assert not set.intersection(*connections)
    assert running.report.account.keys() == {"okx", "coinbase"}
    assert running.report.gaps == {}
    sealed = {source: manifests(settings.root, source) for source in ("ccxt", "coinbase")}
    assert [m.final for of in sealed.values() for m in of[-1:]] == [True, True]
    assert running.report.segments == sum(map(len, sealed.values()))
    assert not list(settings.root.glob("raw/active/**/*.arrow"))


@pytest.mark.asyncio
async def test_a_source_that_has_nothing_to_collect_does_not_end_the_other(config, collecting, until, unused_port):
    async with Simulator(options()) as sim:
        settings = config(sim, OKX, coinbase={"symbols": ["FOO/BAR"]})
        settings = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"port": unused_port})})
        async with collecting(settings) as running, aiohttp.ClientSession() as http:
            await until(lambda: running.tally.refused)
            states = running.states("okx")
            await until(lambda: running.states("okx") > states + 20)
            async with http.get(f"http://127.0.0.1:{unused_port}/readyz") as answer:
                assert answer.status == 503
                assert "there is nothing to collect — coinbase has no symbol 'FOO/BAR'" in await answer.text()
    assert [m.final for m in manifests(settings.root, "ccxt")][-1]
    assert [m.final for m in manifests(settings.root, "coinbase")] == [True]


@pytest.mark.asyncio
async def test_what_is_refused_again_is_told_of_once(tmp_path):
    """Connections are renewed every day, and ask again for what the exchange does not have."""
    given, tally = [], Tally()
    plan = Plan("ccxt", {}, lambda _ends, _start, refuse: given.append(refuse) or [])
    numbers = {"next_seq": itertools.count().__next__, "next_conn": itertools.count().__next__}
    source = Source(plan, tmp_path, Ingestion(), clock=SystemClock(), tally=tally, **numbers, on_rotated=lambda: None)
    source.open()
    for symbol, connection in (("X/Y:Y", "a4d3ae55"), ("X/Y:Z", "a4d3ae55"), ("X/Y:Y", "b1c2d3e4")):
        given[0](f"okx refuses ticker of {symbol}: BadSymbol: {connection}")
    await source.finish()
    assert tally.refused == [f"okx refuses ticker of {symbol}: BadSymbol: a4d3ae55" for symbol in ("X/Y:Y", "X/Y:Z")]


@pytest.mark.asyncio
async def test_a_disk_that_refuses_one_source_does_not_stop_the_other(config, collecting, until, rows):
    async with Simulator(options()) as sim:
        settings = config(sim, OKX, coinbase=COINBASE, segment_max_seconds=2)
        in_the_way = settings.root / "raw" / "active" / "coinbase" / "orderbook"
        in_the_way.parent.mkdir(parents=True)
        in_the_way.write_text("not a directory")
        async with collecting(settings) as running:
            await until(lambda: running.tally.storage_errors)
            await until(lambda: running.tally.sealed_rows["ccxt", "orderbook"] > 20)
            assert not running.tally.sealed_rows["coinbase", "orderbook"]
            in_the_way.unlink()
            await until(lambda: running.tally.sealed_rows["coinbase", "orderbook"] > 20, 60)
    kept = rows(settings.root, "orderbook", "coinbase")
    assert [row["nonce"] for row in kept] == sorted({row["nonce"] for row in kept})
    assert running.report.lost == 0


@pytest.mark.asyncio
async def test_a_second_collector_of_the_same_name_is_refused_and_the_first_goes_on(config, collecting, until):
    async with Simulator(options()) as sim:
        settings = config(sim, OKX, coinbase=COINBASE)
        async with collecting(settings, sources=["coinbase"]) as running:
            await until(lambda: running.states("coinbase") > 5)
            with pytest.raises(StorageError, match="collector 'c1' already writes source 'coinbase'"):
                await collect(settings)
            states = running.states("coinbase")
            await until(lambda: running.states("coinbase") > states + 5)
    # what the second one had opened before it was refused is sealed, and its name free again
    assert [m.final for m in manifests(settings.root, "ccxt")] == [True]
    assert (await collect(settings, sources=["ccxt"], seconds=0.5)).segments >= 1


@pytest.mark.asyncio
async def test_killed_at_any_moment_both_sources_keep_what_was_flushed_once_and_mark_the_rest(
    config, until, rows, tmp_path
):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with Simulator(options(speed=3, truth_limit=10**6)) as sim:
        settings = config(sim, OKX, coinbase=COINBASE, segment_max_seconds=1)
        file = tmp_path / "fluxforge.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
        arguments = ["collect", "--config", str(file), "--json"]
        for is_last in (False, False, True):
            process = PROCESSES.Process(target=main, args=(arguments,))
            process.start()
            try:
                begun = [len(sim.truth.frames(exchange, channel="orderbook")) for exchange in ("okx", "coinbase")]
                await until(
                    lambda: all(
                        len(sim.truth.frames(exchange, channel="orderbook")) > n + 40
                        for exchange, n in zip(("okx", "coinbase"), begun, strict=True)  # noqa: B023
                    ),
                    90,
                )
                await asyncio.sleep(chance.uniform(0, 2))
                if is_last:
                    await sim.pause()
            finally:
                (process.terminate if is_last else process.kill)()
                await asyncio.to_thread(process.join)
        assert process.exitcode == 0
    assert not list(settings.root.glob("raw/active/**/*.arrow"))
    reasons = {gap["reason"] for source in ("ccxt", "coinbase") for gap in rows(settings.root, "gaps", source)}
    assert reasons == {"crash"}
    for source, exchange in (("ccxt", "okx"), ("coinbase", "coinbase")):
        found = settle_lake(sim.truth, settings.root, flush_s=0.2, source=source)
        wrong = [line for line in found.wrong if line.startswith(exchange) and "where nothing was lost" not in line]
        assert wrong == []
