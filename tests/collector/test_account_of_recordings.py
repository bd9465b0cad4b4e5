"""The account over what exchanges really sent, played through the real client: whole, and with frames left out."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from support.account import gaps_of, merged, settle_lake

from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.scenario import Step

DIGITS = (8, 8)
CAPTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "cryptofeed_captures" / "BINANCE_US-63b290.0"
SNAPSHOT = re.compile(r"https://[^ ]*/depth\?symbol=(\w+)[^ ]* -> (\d+)\.(\d+): (.*)")
FRAME = re.compile(r'(\d+)\.(\d+): (\{"stream":"(\w+)@.*)')


def by_market(capture, folder):
    """The capture as one recording per market: receive time in nanoseconds, then the text."""
    lines = defaultdict(list)
    for line in capture.read_text().splitlines():
        if found := SNAPSHOT.match(line):
            market, seconds, fraction, text = found.groups()
            lines[market].insert(0, f"{seconds}{fraction:0<9} {text}")
        elif found := FRAME.match(line):
            seconds, fraction, text, market = found.groups()
            lines[market.upper()].append(f"{seconds}{fraction:0<9} {text}")
    files = []
    for market, recorded in lines.items():
        files.append(folder / f"{market}.txt")
        files[-1].write_text("\n".join(recorded) + "\n")
    return tuple(files)


@pytest.mark.real_data
@pytest.mark.asyncio
async def test_two_minutes_of_binance_us_play_without_a_gap(config, collecting, until, tmp_path):
    if not CAPTURE.is_file():
        pytest.skip("the recordings are not beside the project")
    options = SimulatorOptions(captures=by_market(CAPTURE, tmp_path), speed="max", quiet_s=0.3, patience_s=3)
    async with Simulator(options) as sim:
        symbols = [f"{listing.base}/{listing.quote}" for listing in sim._feed._recording.listings.values()]
        assert len(symbols) == 10
        settings = config(sim, {"binanceus": {"symbols": {"orderbook": symbols}}})
        async with collecting(settings) as running:
            await until(lambda: sim.is_finished, seconds=180)
        account = settle_lake(sim.truth, settings.root, flush_s=0.2, digits=DIGITS)
    assert account.wrong == []
    assert running.report.gaps == {}
    assert account.kept > 1000


@pytest.mark.real_data
@pytest.mark.asyncio
async def test_each_frame_left_out_of_binance_is_a_gap(config, collecting, until, recordings):
    """Two changes of one book are left out, one long after the other: two gaps of it, and none of the other book."""
    steps = tuple(Step("drop", symbol="BTC/USDT", channel="orderbook", at_frame=frames) for frames in (2000, 14_000))
    captures = tuple(recordings / f"spot_{market}usdt_20240808.gz" for market in ("btc", "eth"))
    async with Simulator(SimulatorOptions(captures=captures, speed=25, quiet_s=0.3, scenario=steps)) as sim:
        symbols = ["BTC/USDT", "ETH/USDT"]
        channels = {"orderbook": symbols, "trades": symbols}
        settings = config(sim, {"binanceus": {"symbols": channels}}, segment_max_seconds=86_400)
        async with collecting(settings):
            await until(lambda: sim.is_finished, seconds=180)
        account = settle_lake(sim.truth, settings.root, flush_s=0.2, digits=DIGITS)
        assert sim.truth.faults == {"drop": 2}
    assert account.wrong == []
    ledger = gaps_of(settings.root, "ccxt")
    assert {stream: len(merged(gaps)) for stream, gaps in ledger.items()} == {("binanceus", "BTC/USDT", "orderbook"): 2}
