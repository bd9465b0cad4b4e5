"""What reading a lake in a bucket costs: requests and bytes, counted on their way."""

import pytest
from support.lakes import bucket_lake, through
from support.market import DAY, NOON_US, config_of, records, seal

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import SILVER_TRADES
from fluxforge_assets.lake.landing import dates_waiting, land
from fluxforge_assets.lake.marks import GOLD, mark_gold, marks, settle_gold
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.reading import Wanted, open_asset, part_files
from fluxforge_assets.lake.update import update
from fluxforge_collector.segments.names import date_of
from fluxforge_collector.storage.changes import write
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

FOUR = (
    ("binanceus", "BTC/USDT"), ("binanceus", "ETH/USDT"), ("okx", "BTC/USDT:USDT"), ("okx", "ETH/USDT:USDT"),
)  # fmt: skip
FOLDERS = (
    "raw/archive/ccxt", "raw/archive/ccxt/trades", f"processed/ccxt/{SILVER_TRADES.folder}/exchange=okx/symbol=BTC-USDT",
)  # fmt: skip


def test_looking_for_work_costs_the_same_however_many_days_there_are(s3_server, proxy, tmp_path):
    """What the sensor asks of a bucket every few seconds, and what one day's rows are looked for with."""
    lake = through(bucket_lake(s3_server, tmp_path), proxy, s3_server)
    costs = []
    for days in (2, 30):
        for day in range(days):
            date = date_of(NOON_US + day * 86_400_000_000)
            for folder in FOLDERS:
                write(lake.root / folder / f"date={date}" / "one", b"")
        for look in (
            lambda: dates_waiting(lake, "2099-01-01"),
            lambda: marks(lake),
            lambda: Archive(lake, "ccxt").names(DAY),
            lambda: part_files(lake, SILVER_TRADES, Wanted(date=DAY)),
        ):
            before = proxy.requests
            look()
            costs.append(proxy.requests - before)
    assert costs[:4] == costs[4:]
    assert sum(costs[:4]) < 40


def test_settling_a_date_costs_the_same_however_many_others_wait(s3_server, proxy, tmp_path):
    """A lock is held meanwhile, for which real time waits."""
    lake = through(bucket_lake(s3_server, tmp_path), proxy, s3_server)
    costs = []
    for days in (1, 20):
        for day in range(days):
            mark_gold(lake, "ccxt", date_of(NOON_US + day * 86_400_000_000))
        known = marks(lake, GOLD)[0]
        before = proxy.requests
        settle_gold(lake, known)
        costs.append(proxy.requests - before)
        assert known not in marks(lake, GOLD)
    assert costs[0] == costs[1] <= 3


@pytest.fixture(scope="module")
def large(tmp_path_factory, s3_server):
    """Four instruments on two days, as compaction leaves them: a file each."""
    folder = tmp_path_factory.mktemp("large")
    made = Lake(folder / "lake")
    for start_us in (NOON_US, NOON_US + 86_400_000_000):
        seal(made.root, records(7, seconds=600, instruments=FOUR, start_us=start_us), segment_seconds=900)
        land(made, "ccxt")
        list(update(made, config_of(made.root), "ccxt", date_of(start_us)))
    there = bucket_lake(s3_server, folder)
    sync(LocalStore(made.root), there.root.store, wanted=Filter())
    return there


@pytest.mark.slow
@pytest.mark.parametrize(("asset", "most"), [("silver/orderbook", 0.15), ("bronze/orderbook", 0.3)])
def test_a_query_reads_what_it_asks_for(large, proxy, s3_server, asset, most):
    """One instrument of four, one day of two, two columns: bytes through the wire against all files of the asset.

    Most of it is footers: of a small file pyarrow reads its last 64 KiB, and silver has hundreds of columns.
    """
    folder = "processed/ccxt/orderbook/hf" if asset == "silver/orderbook" else "raw/archive/ccxt/orderbook"
    whole = sum(entry.size for entry in large.root.store.list(f"{folder}/"))
    far = through(large, proxy, s3_server)
    columns = {"silver/orderbook": ["ts", "mid"], "bronze/orderbook": ["capture_ts", "nonce"]}[asset]
    before, asked = proxy.received, Wanted(exchange="binanceus", symbol="BTC/USDT", date=DAY)
    frame = open_asset(far, asset, asked).select(columns).collect()
    read = proxy.received - before
    print(f"{asset}: {read:,} of {whole:,} bytes read, {read / whole:.1%}; {frame.height} rows")
    assert frame.height > 0
    assert read < most * whole
