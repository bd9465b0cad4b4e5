"""What is implausible is found: bars that contradict themselves, tickers far from the book."""

import re

import polars as pl
import pytest
from support.market import DAY, records, seal

from fluxforge_assets.lake.checks import Stored
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.plausibility import check_bar_prices, check_ticker
from fluxforge_assets.lake.update import places_of, update


@pytest.fixture
def place(lake, config):
    """An instrument's day, computed."""
    seal(lake.root, records(1, seconds=60))
    land(lake, "ccxt")
    assert list(update(lake, config, "ccxt", DAY))
    return places_of(lake, "ccxt", DAY)[0]


def spoil(lake, place, dataset, **columns):
    """Overwrite columns of the first part."""
    path = next(lake.partition(place, dataset.folder).glob("part-*.parquet"))
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def test_what_was_computed_is_plausible(lake, config, place):
    assert check_bar_prices(Stored(lake, config, GOLD_BARS, place)).is_passed
    verdict = check_ticker(Stored(lake, config, SILVER_ORDERBOOK, place))
    assert verdict.is_passed
    assert "tickers, off by" in verdict.detail


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("mid_low", pl.col("mid_close") + 1, "mid_low"),
        ("mid_high", pl.col("mid_open") - 1, "mid_high"),
        ("trade_low", -pl.col("trade_close"), "trade_positive"),
        ("vwap", pl.col("trade_high") * 1.001, "vwap"),
    ],
)
def test_a_bar_that_contradicts_itself_is_named(lake, config, place, column, value, named):
    spoil(lake, place, GOLD_BARS, **{column: value})
    verdict = check_bar_prices(Stored(lake, config, GOLD_BARS, place))
    assert not verdict.is_passed
    assert named in verdict.detail


def test_tickers_far_from_the_book_are_found(lake, config, place):
    spoil(lake, place, SILVER_TICKER, mid=pl.col("mid") * 1.01)
    verdict = check_ticker(Stored(lake, config, SILVER_ORDERBOOK, place))
    assert not verdict.is_passed
    off_bps = float(re.search(r"off by ([\d.]+) bps", verdict.detail)[1])
    assert off_bps == pytest.approx(100, abs=5)
