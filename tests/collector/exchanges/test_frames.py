"""The frames recorder: every frame of a real client, both ways, whatever becomes of the connection; and no secret."""

import json
from collections import Counter

import pyarrow as pa
import pytest

from fluxforge_collector.config.sources import Coinbase, Exchange
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.faults import Fault

SYMBOLS = {"symbols": ["BTC/USDT"]}
KEYS = {"api_key": "PublicPartOfTheKey", "secret": "c2VjcmV0IHBhcnQ", "password": "pass phrase"}


def frames_of(rows, root, source="ccxt"):
    return sorted(rows(root, "frames", source), key=lambda row: row["seq"])


@pytest.mark.asyncio
async def test_every_frame_is_kept_in_order_and_its_records_follow_it(config, collecting, until, rows, tmp_path):
    async with Simulator(SimulatorOptions(instruments=("BTC/USDT",))) as simulator:
        made = config(simulator, {"binanceus": SYMBOLS, "okx": SYMBOLS}, record_frames=True)
        async with collecting(made) as running:
            await until(lambda: min(running.states(e) for e in ("binanceus", "okx")) > 20)
            await simulator.inject(Fault("close", exchange="okx", code=1012))
            await until(lambda: running.gaps("okx", "disconnect") > 0)
            await until(lambda: running.tally.reconnects["okx"] > 0)
            await simulator.pause()
    found = frames_of(rows, tmp_path / "lake")
    kinds = Counter((row["exchange"], row["direction"]) for row in found)
    received = Counter(running.report.account[e]["received"] for e in ("binanceus", "okx"))
    assert Counter(kinds[e, "recv"] for e in ("binanceus", "okx")) == received
    assert kinds["okx", "open"] == 2
    assert [row["text"] for row in found if (row["exchange"], row["direction"]) == ("okx", "close")] == ["1012"]
    assert {"SUBSCRIBE"} == {
        json.loads(r["text"])["method"] for r in found if (r["exchange"], r["direction"]) == ("binanceus", "send")
    }
    urls = {row["url"].partition("?")[0] for row in found if row["exchange"] == "binanceus"}
    assert urls == {
        *(f"wss://stream.binance.us:9443/ws/{number}" for number in range(3)),
        "https://api.binance.us/api/v3/exchangeInfo",
        "https://api.binance.us/api/v3/depth",
    }
    _check_seq(found, rows, tmp_path / "lake")


def _check_seq(found, rows, root):
    """A trade's numbers are those of the frame noted last before it."""
    by_seq = {row["seq"]: row["text"] for row in found if row["direction"] == "recv"}
    trades = rows(root, "trades")
    assert trades
    for trade in trades:
        text = by_seq[max(seq for seq in by_seq if seq < trade["seq"])]
        assert trade["trade_id"] in text


@pytest.mark.asyncio
async def test_frames_are_kept_where_one_exchange_asks_for_it(config, collecting, until, rows, tmp_path):
    async with Simulator(SimulatorOptions(instruments=("BTC/USDT",))) as simulator:
        made = config(simulator, {"binanceus": SYMBOLS, "okx": SYMBOLS | {"record_frames": True}})
        async with collecting(made) as running:
            await until(lambda: min(running.states(e) for e in ("binanceus", "okx")) > 3)
    assert {row["exchange"] for row in frames_of(rows, tmp_path / "lake")} == {"okx"}


@pytest.mark.asyncio
async def test_without_being_asked_for_frames_are_neither_kept_nor_covered(config, collecting, until, tmp_path):
    options = SimulatorOptions(instruments=("BTC/USDT",), exchanges=("okx",))
    async with Simulator(options) as simulator, collecting(config(simulator, {"okx": SYMBOLS})) as running:
        await until(lambda: running.states("okx") > 3)
    manifests = [json.loads(path.read_text()) for path in (tmp_path / "lake").glob("raw/ready/ccxt/*.json")]
    assert manifests
    assert not [manifest for manifest in manifests if "frames" in manifest["channels"]]


@pytest.mark.asyncio
async def test_frames_of_the_native_collector_are_kept_too(config, collecting, until, rows, tmp_path):
    options = SimulatorOptions(instruments=("BTC/USD",), exchanges=("coinbase",))
    async with Simulator(options) as simulator:
        made = config(simulator, {}, coinbase={"symbols": ["BTC/USD"]}, record_frames=True)
        async with collecting(made) as running:
            await until(lambda: running.states("coinbase") > 10)
            await simulator.pause()
    found = frames_of(rows, tmp_path / "lake", "coinbase")
    kinds = Counter(row["direction"] for row in found)
    assert kinds["recv"] == running.report.account["coinbase"]["received"]
    assert (kinds["open"], kinds["rest"], kinds["send"]) == (1, 1, 4)
    numbers = [json.loads(row["text"])["sequence_num"] for row in found if row["direction"] == "recv"]
    assert numbers == list(range(len(numbers)))


@pytest.mark.asyncio
async def test_no_secret_reaches_the_lake(config, collecting, until, tmp_path):
    async with Simulator(SimulatorOptions(instruments=("BTC/USDT",), exchanges=("binanceus",))) as simulator:
        settings = SYMBOLS | {"credentials": KEYS}
        made = config(simulator, {"binanceus": settings}, record_frames=True, raw_format="ndjson")
        async with collecting(made) as running:
            await until(lambda: running.states("binanceus") > 3)
    for file in (tmp_path / "lake").rglob("*.ndjson.zst"):
        with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as plain:
            text = plain.read().decode()
        assert not [secret for secret in KEYS.values() if secret in text], file


@pytest.mark.parametrize("settings", [Exchange, Coinbase])
def test_frames_are_not_recorded_unless_asked_for(settings):
    assert settings(symbols=("BTC/USD",)).record_frames is None
