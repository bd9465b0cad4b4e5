import pytest

from fluxforge_assets.gold.inputs import cross_venue_days, label_days, training_days, venue_groups, vpin_days
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import InstrumentError


def test_the_days_each_table_reads():
    options = FeatureOptions()
    assert list(label_days(options)) == [-1, 0, 1], "look-ahead of four hours"
    assert list(vpin_days(options)) == [-2, -1, 0]
    assert list(cross_venue_days(options)) == [-1, 0]
    assert list(training_days(options)) == [-5, -4, -3, -2, -1]


def test_venues_group_by_symbol():
    groups = venue_groups(["okx:BTC-USDT", "binanceus:BTC-USDT", "okx:BTC-USDT_USDT", "kraken:BTC-USD"])
    assert groups == {
        "binanceus:BTC-USDT": ("okx:BTC-USDT",),
        "okx:BTC-USDT": ("binanceus:BTC-USDT",),
        "okx:BTC-USDT_USDT": (),
        "kraken:BTC-USD": (),
    }


def test_a_key_that_is_none_is_refused():
    with pytest.raises(InstrumentError):
        venue_groups(["btcusdt"])
