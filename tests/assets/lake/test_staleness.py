"""What is stale: a partition whose newest part, or whose recorded version, has another fingerprint."""

import pytest
from support.market import DAY, config_of, records, seal

from fluxforge_assets.lake.datasets import DATASETS, GOLD_BARS, REFRESHED, SILVER_ORDERBOOK, SILVER_TRADES
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.places import stored_places
from fluxforge_assets.lake.staleness import fingerprint_of, staleness
from fluxforge_assets.lake.update import update

APPENDED = [dataset for dataset in DATASETS if dataset not in REFRESHED]


@pytest.fixture
def filled(lake, config):
    """A lake with one day of every dataset."""
    seal(lake.root, records(1, seconds=30))
    land(lake, "ccxt")
    assert list(update(lake, config, "ccxt", DAY))
    return lake


def stale(lake, dataset, config, *, versions=None, wants=lambda _: True):
    current = dataset.fingerprint(config.etl.channels.orderbook.processor_options)
    return staleness(lake, dataset, current, versions=versions or {}, wants=wants)


@pytest.mark.parametrize("dataset", APPENDED, ids=lambda d: d.asset)
def test_what_was_just_computed_is_current(filled, config, dataset):
    found = stale(filled, dataset, config)
    assert found.stored == len(list(stored_places(filled, dataset))) > 0
    assert found.stale == ()


def test_a_new_horizon_makes_stale_what_stores_it_and_nothing_else(filled):
    changed = config_of(filled.root, horizons=[1, 10])
    assert len(stale(filled, SILVER_ORDERBOOK, changed).stale) == 3
    assert stale(filled, SILVER_TRADES, changed).stale == ()


def test_a_recorded_version_is_believed_without_opening_the_partition(filled, config):
    place = next(stored_places(filled, GOLD_BARS))
    for path in filled.partition(place, GOLD_BARS.folder).iterdir():
        path.write_bytes(b"not opened")
    current = fingerprint = GOLD_BARS.fingerprint(config.etl.channels.orderbook.processor_options)
    key = (place.date, place.instrument.key)
    assert stale(filled, GOLD_BARS, config, versions={key: fingerprint}).stale == ()
    assert stale(filled, GOLD_BARS, config, versions={key: current[::-1]}).stale == (place,)


def test_only_what_is_wanted_is_looked_at(filled):
    changed = config_of(filled.root, horizons=[1, 10])
    found = stale(filled, SILVER_ORDERBOOK, changed, wants=lambda place: place.instrument.exchange == "okx")
    assert [place.instrument.key for place in found.stale] == ["okx:BTC-USDT_USDT"]
    assert found.stored == 1


def test_a_partition_without_parts_holds_nothing_stale(filled, config):
    place = next(stored_places(filled, GOLD_BARS))
    directory = filled.partition(place, GOLD_BARS.folder)
    for path in directory.iterdir():
        path.unlink()
    assert fingerprint_of(filled, GOLD_BARS, place) is None
    assert stale(filled, GOLD_BARS, config).stored == 2


def test_names_that_are_no_instruments_are_passed_over(filled):
    (filled.dataset("ccxt", GOLD_BARS.folder) / "exchange=X Y" / "symbol=.." / "date=2026-01-01").mkdir(parents=True)
    assert all(place.instrument.exchange in {"binanceus", "okx"} for place in stored_places(filled, GOLD_BARS))
