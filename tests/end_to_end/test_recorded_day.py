"""A real recording through the whole chain: wire, ccxt client, taps, segments, landing, silver, bars.

Ten minutes of Binance, BTC/USDT and ETH/USDT across UTC midnight. What is expected stands in the recording itself: the
venue's own bookTicker at the same update id, and the trades as they were sent. The collector's clock is the recording's:
each frame is taken before the next is sent, so a capture time is the recorded receive time.
"""

import asyncio
import math
import time
from pathlib import Path

import polars as pl
import pytest

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.model import Config
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions

RECORDING = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "binance_spot_20240808"
DATES = ("2024-08-08", "2024-08-09")
SYMBOLS = {"BTC/USDT": "btcusdt", "ETH/USDT": "ethusdt"}

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not RECORDING.is_dir(), reason="the real recordings are not beside the project"),
    pytest.mark.timeout(600),
]


class RecordedClock:
    """Capture time is the recorded receive time of the frame that was sent last."""

    def __init__(self, simulator):
        self._simulator = simulator
        self._last_us = 0

    def capture_us(self):
        self._last_us = max(self._last_us, self._simulator.current_us)
        return self._last_us

    wall_us = capture_us

    def monotonic(self):
        return time.monotonic()

    def step_us(self):
        return 0

    def anchor(self):
        pass


async def play(root):
    """Play the recording to the collector. Returns the collector's report and the exchange's truth."""
    files = tuple(sorted(RECORDING.glob("spot_*.gz")))
    options = SimulatorOptions(captures=files, speed="max", in_flight=1, exchanges=("binanceus",))
    async with Simulator(options) as simulator:
        config = Config.model_validate(
            {
                "lake": {"root": str(root)},
                "exchanges": {
                    "binanceus": {
                        "symbols": {"orderbook": list(SYMBOLS), "trades": list(SYMBOLS)},
                        "base_url": simulator.url,
                    }
                },
                "ingestion": {"flush_interval_seconds": 1},
                "metrics": {"enabled": False},
            }
        )
        stop = asyncio.Event()
        collecting = asyncio.create_task(collect(config, clock=RecordedClock(simulator), stop=stop))
        async with asyncio.timeout(400):
            while not simulator.is_finished and not collecting.done():
                await asyncio.sleep(0.2)
        stop.set()
        return config, await collecting, simulator.stats()


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The recording, collected, landed and computed."""
    root = tmp_path_factory.mktemp("lake")
    config, report, stats = asyncio.run(play(root))
    lake = Lake(root)
    landed = land(lake, "ccxt")
    assert not landed.quarantined
    changes = [change for date in DATES for change in update(lake, config, "ccxt", date)]
    return lake, config, report, stats, changes


def bronze(lake, channel):
    files = sorted((lake.raw / "archive" / "ccxt" / channel).rglob("*.parquet"))
    return pl.concat([pl.read_parquet(f, hive_partitioning=False) for f in files]).with_columns(
        pl.col("exchange", "symbol").cast(pl.String)
    )


def processed(lake, folder):
    return pl.read_parquet(lake.dataset("ccxt", folder) / "**" / "part-*.parquet", hive_partitioning=False)


def recorded(symbol, kind):
    return pl.read_parquet(RECORDING / f"binance_spot_{SYMBOLS[symbol]}_20240808-09_{kind}.parquet")


def test_every_frame_is_a_record_or_a_named_reject(played):
    lake, _, report, stats, _ = played
    account = report.account["binanceus"]
    named = {kind: count for kind, count in account.items() if kind not in {"received", "control"}}
    assert sum(named.values()) == stats["frames_sent"]
    assert set(named) <= {"states", "trades", "tickers", "before_snapshot", "stale_update"}
    # a book's first state comes from the REST snapshot, which is no frame
    assert bronze(lake, "orderbook").height == account["states"] + len(SYMBOLS)
    assert bronze(lake, "trades").height == account["trades"]
    assert not report.gaps


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_books_equal_the_venues_own_best_quotes(played, symbol):
    books = bronze(played[0], "orderbook").filter(pl.col("symbol") == symbol)
    best = books.select(
        "nonce",
        bid=pl.col("bids").list.first().struct.field("price"),
        bid_size=pl.col("bids").list.first().struct.field("size"),
        ask=pl.col("asks").list.first().struct.field("price"),
        ask_size=pl.col("asks").list.first().struct.field("size"),
    )
    both = best.join(recorded(symbol, "bookticker"), left_on="nonce", right_on="u", suffix="_venue")
    assert both.height > 1000
    for column in ("bid", "bid_size", "ask", "ask_size"):
        assert both[column].to_list() == both[f"{column}_venue"].to_list()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_trades_equal_the_recording(played, symbol):
    ours = bronze(played[0], "trades").filter(pl.col("symbol") == symbol).sort("seq")
    theirs = recorded(symbol, "trades")
    assert ours["trade_id"].to_list() == theirs["id"].to_list()
    for column in ("price", "amount", "side"):
        assert ours[column].cast(theirs[column].dtype).to_list() == theirs[column].to_list()
    assert ours["capture_ts"].dt.timestamp("us").to_list() == theirs["capture_ts"].to_list()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_book_events_are_conserved_from_bronze_to_silver(played, symbol):
    lake = played[0]
    safe = symbol.replace("/", "-")
    books = bronze(lake, "orderbook").filter(pl.col("symbol") == symbol)
    silver = processed(lake, "orderbook/hf").filter(pl.col("symbol") == safe)
    assert sorted(silver["date"].unique()) == list(DATES)
    events = silver.select(
        pl.sum_horizontal(
            "n_book", "n_book_crossed", "n_book_locked", "n_book_onesided", "n_book_malformed", "n_book_dup"
        ).sum()
    ).item()
    # the last bucket is open: the watermark has not passed its end
    closed = books.filter(pl.col("capture_ts").dt.timestamp("us") < silver["ts"].max())
    assert events == closed.height
    assert books.height - closed.height < 20


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_bar_volumes_equal_the_recordings_sums(played, symbol):
    """Each 60 s bar holds the trades the recording received in its minute, summed exactly and rounded once."""
    safe = symbol.replace("/", "-")
    bars = processed(played[0], "orderbook/bars").filter((pl.col("symbol") == safe) & (pl.col("bar_us") == 60_000_000))
    trades = bronze(played[0], "trades").filter(pl.col("symbol") == symbol)
    taken = trades.select(
        bar=pl.col("capture_ts").dt.timestamp("us") // 60_000_000 * 60_000_000 + 60_000_000, a="amount"
    )
    expected = {bar[0]: math.fsum(group["a"]) for bar, group in taken.group_by("bar")}
    assert bars.height >= 9
    for ts, volume in bars.select("ts", "vol").iter_rows():
        assert volume == pytest.approx(expected[ts], rel=4e-16 * 8)
    received = recorded(symbol, "trades")
    whole = received.filter(
        (pl.col("capture_ts") < bars["ts"].max()) & (pl.col("capture_ts") >= bars["ts"].min() - 60_000_000)
    )
    assert math.fsum(bars["vol"]) == pytest.approx(math.fsum(whole["amount"]), rel=4e-16 * 8)
