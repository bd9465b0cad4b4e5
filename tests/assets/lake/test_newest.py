"""How old silver and bars are said to be, by the names of their parts."""

import pytest
from support.market import DAY, NOON_US, SECOND

from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK
from fluxforge_assets.lake.newest import check, judge
from fluxforge_assets.lake.paths import Place
from fluxforge_collector.health.finding import Level
from fluxforge_collector.instruments import Instrument


@pytest.fixture
def put(lake):
    """A part of a dataset that ends at a time."""

    def make(dataset, symbol, end_us, date=DAY):
        (lake.raw / "ready" / "ccxt").mkdir(parents=True, exist_ok=True)
        directory = lake.partition(Place("ccxt", Instrument("okx", symbol), date), dataset.folder)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"part-{end_us - 60 * SECOND}-{end_us}-{'0' * 12}.parquet").touch()

    return make


def test_nothing_yet_is_no_fault(config):
    assert [(f.level, f.text) for f in check(config, NOON_US)] == [(Level.HEALTHY, "none of today or yesterday")] * 2


def test_each_is_as_old_as_the_instrument_that_lags_most(config, put):
    for dataset in (SILVER_ORDERBOOK, GOLD_BARS):
        put(dataset, "A/B", NOON_US)
    put(SILVER_ORDERBOOK, "C/D", NOON_US - 1000 * SECOND)
    put(SILVER_ORDERBOOK, "C/D", NOON_US - 2000 * SECOND)
    put(SILVER_ORDERBOOK, "OLD/X", NOON_US, date="2026-11-01")
    silver, bars = check(config, NOON_US + 30 * SECOND)
    assert (silver.level, silver.what, silver.text) == (
        Level.DEGRADED, "newest silver/orderbook", "17 min 10 s old: okx:C-D",
    )  # fmt: skip
    assert silver.since_us == NOON_US - 1000 * SECOND
    assert (bars.level, bars.text) == (Level.HEALTHY, "at most 30 s old")


def test_many_that_lag_are_counted():
    ends = {f"okx:{n}": 0 for n in range(10)}
    assert judge(GOLD_BARS, ends, 60, 61 * SECOND).text == "1 min 1 s old: okx:0, okx:1, okx:2 and 7 more"
