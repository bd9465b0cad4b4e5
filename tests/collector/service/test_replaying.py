"""Recorded frames, replayed to the real client, give the bronze that was collected then: every row, by value."""

import asyncio
import json
import secrets
import shutil

import pytest
import structlog
import yaml

from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.service.recorded import SourceFiles, replays_of, runs_of, without_fetched
from fluxforge_collector.service.replaying import compare, config_of_replay, replay_into
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.venues import VENUES
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.storage.s3 import S3Store
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

SYMBOLS = {
    "binanceus": ["BTC/USDT", "ETH/USDT", "SOL/USDT"],
    "okx": ["BTC/USDT", "ETH/USDT"],
    "coinbase": ["BTC/USD", "ETH/USD"],
    "kraken": ["BTC/USD", "ETH/USD"],
    "bybit": ["BTC/USDT", "ETH/USDT"],
}


async def replayed(recorded, source, into, speed="max", **options):
    """What became of every instrument of a lake, replayed into another."""
    files = SourceFiles(recorded.root, source)
    runs = runs_of(files.manifests(), None)
    replays = replays_of(files, runs, [], None)
    names = [replay.exchange for replay in replays]
    settings = SimulatorOptions(replays=tuple(replays), speed=speed, **options)
    async with Simulator(settings) as simulator:
        await replay_into(simulator, config_of_replay(recorded, source, names, simulator.url, into))
        missed = simulator.stats()["missed"]
    found = compare(files, SourceFiles(into, source), names, runs[0].from_us, runs[-1].to_us)
    return found, missed


def assert_same(found, missed, instruments):
    assert {one.instrument for one in found} == instruments
    assert {one.channel for one in found} == {"orderbook", "trades", "ticker"}
    assert all(one.recorded for one in found)
    assert [one for one in found if not one.is_same] == []
    assert not any(missed.values())


def test_a_trade_that_either_fetched_counts_on_neither_side():
    names = [
        name for name in plain_schema(Channel.TRADES).names if name not in {"collected_at", "capture_ts", "seq", "conn"}
    ]

    def trade(number, *, backfilled=False):
        return tuple({"trade_id": number, "backfilled": backfilled}.get(name) for name in names)

    then = [trade("1"), trade("2", backfilled=True), trade("3")]
    now = [trade("1"), trade("2"), trade("3"), trade("4", backfilled=True)]
    assert without_fetched(then, now) == ([trade("1"), trade("3")], [trade("1"), trade("3")])
    assert without_fetched([trade("1")], [trade("3")]) == ([trade("1")], [trade("3")])


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", [name for name in SYMBOLS if name in VENUES])
async def test_a_replay_gives_every_row_again(exchange, config, collecting, until, tmp_path):
    """Two feeds share the symbols of Binance.US; a connection is closed meanwhile, and one frame is no JSON."""
    symbols = SYMBOLS[exchange]
    options = SimulatorOptions(instruments=tuple(symbols), exchanges=(exchange,))
    async with Simulator(options) as simulator:
        settings = {"symbols": symbols, "streams_per_connection": 2}
        made = config(simulator, {exchange: settings}, record_frames=True)
        async with collecting(made) as running:
            await until(lambda: running.states(exchange) > 40)
            await simulator.inject(Fault("close", exchange=exchange, code=1012))
            await until(lambda: running.tally.reconnects[exchange] > 0)
            await simulator.inject(Fault("malformed", exchange=exchange, channel="orderbook"))
            await until(lambda: running.tally.frames[exchange, "bad_frame"] > 0)
            states = running.states(exchange)
            await until(lambda: running.states(exchange) > states + 40)
            # a ticker of Kraken only comes with a trade
            await until(lambda: running.tally.asked_us.keys() == running.tally.last_us.keys())
            await simulator.pause()
    found, missed = await replayed(made, "ccxt", tmp_path / "again")
    keys = {f"{exchange}:{symbol.replace('/', '-')}" for symbol in symbols}
    assert_same(found, missed, keys)


@pytest.mark.asyncio
async def test_a_replay_gives_every_row_of_the_native_collector_again(config, collecting, until, tmp_path):
    options = SimulatorOptions(instruments=tuple(SYMBOLS["coinbase"]), exchanges=("coinbase",))
    async with Simulator(options) as simulator:
        made = config(simulator, {}, coinbase={"symbols": SYMBOLS["coinbase"]}, record_frames=True)
        async with collecting(made) as running:
            await until(lambda: running.states("coinbase") > 30)
            await simulator.inject(Fault("gap", exchange="coinbase", symbol="BTC/USD"))
            await until(lambda: running.tally.reconnects["coinbase"] > 0)
            states = running.states("coinbase")
            await until(lambda: running.states("coinbase") > states + 30)
            await simulator.pause()
    found, missed = await replayed(made, "coinbase", tmp_path / "again")
    assert_same(found, missed, {"coinbase:BTC-USD", "coinbase:ETH-USD"})


@pytest.fixture
def recorded(config, collecting, until, tmp_path):
    """A lake of two runs of a collector of OKX, and the file of its configuration."""

    async def run():
        options = SimulatorOptions(instruments=("BTC/USDT",), exchanges=("okx",))
        async with Simulator(options) as simulator:
            made = config(simulator, {"okx": {"symbols": ["BTC/USDT"]}}, record_frames=True, raw_format="ndjson")
            for _ in range(2):
                async with collecting(made) as running:
                    await until(lambda running=running: running.states("okx") > 15)
        return made

    made = asyncio.run(run())
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(made.model_dump(mode="json", exclude_defaults=True)))
    return made, file


@pytest.fixture(autouse=True)
def _own_logging():
    yield
    structlog.reset_defaults()


def test_the_command_replays_both_runs_and_finds_them_the_same(recorded, typed, tmp_path):
    _, file = recorded
    options = ["--config", str(file), "--port", "0", "--speed", "max", "--json"]
    code, out, err = typed("replay", *options, "--into", str(tmp_path / "again"))
    said = [json.loads(line) for line in out.splitlines()]
    assert code == 0, (out, err)
    assert {one["channel"] for one in said} == {"orderbook", "trades", "ticker"}
    assert all(one["first_difference"] is None and one["recorded"] for one in said)
    code, _, err = typed("replay", *options, "--into", str(tmp_path / "again"))
    assert code == 2
    assert "is not empty" in err


@pytest.mark.slow
def test_a_recording_in_a_bucket_is_replayed(recorded, typed, tmp_path, s3_server, monkeypatch):
    made, file = recorded
    prefix = secrets.token_hex(4)
    sync(LocalStore(made.root), S3Store(s3_server.settings(), s3_server.shared, prefix), wanted=Filter())
    shutil.rmtree(made.root)
    for name, value in (
        ("LAKE__ROOT", f"s3://{s3_server.shared}/{prefix}"), ("STORAGE__ENDPOINT", s3_server.endpoint),
        ("STORAGE__ACCESS_KEY", "test:tester"), ("STORAGE__SECRET_KEY", "testing"), ("STORAGE__REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(f"FLUXFORGE__{name}", value)
    options = ["--config", str(file), "--port", "0", "--speed", "max", "--json", "--into", str(tmp_path / "again")]
    code, out, err = typed("replay", *options)
    assert code == 0, (out, err)
    assert all(json.loads(line)["recorded"] for line in out.splitlines())


MISTAKES = [
    (("--date", "2000-01-01"), "widen --from, --to"),
    (("--from", "soon"), "write it like"),
    (("--date", "2000-01-01", "--to", "2000-01-02"), "leave out --from and --to"),
    (("--exchange", "kraken"), "recorded: okx"),
    (("--speed", "fast"), "or max"),
    (("--source", "coinbase"), "see ingestion.record_frames"),
]


def test_a_mistake_is_one_line_and_a_row_that_is_missing_is_found(recorded, typed):
    made, file = recorded
    for arguments, remedy in MISTAKES:
        code, _, err = typed("replay", "--config", str(file), "--port", "0", *arguments)
        assert (code, err.count("\n")) == (2, 1), err
        assert remedy in err
    files = SourceFiles(made.root, "ccxt")
    last = files.manifests()[-1]
    assert [one for one in compare(files, files, ["okx"], 0, 1 << 62) if not one.is_same] == []
    differing = [one for one in compare(files, files, ["okx"], 0, (last.from_us + last.to_us) // 2) if not one.is_same]
    assert {one.first_difference for one in differing} == {one.recorded for one in differing}
