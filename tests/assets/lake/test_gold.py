"""Gold tables beside the bars: refreshed in any steps, over late data, they hold what a backfill gives."""

import random
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, NOON_US, SECOND, config_of, deliver, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.datasets import REFRESHED, SILVER_ORDERBOOK
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import GOLD, mark
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.refresh import gold_marks, refresh
from fluxforge_assets.lake.update import recipe_of, update
from fluxforge_collector.errors import DataError

NEXT = "2026-11-21"
DAYS = (DAY, NEXT)
MIDNIGHT_US = NOON_US + 12 * 3600 * SECOND
VENUES = (("binanceus", "BTC/USDT"), ("okx", "BTC/USDT"), ("kraken", "ETH/USDT"))
OPTIONS = {
    "label_horizons": [1, 5, 10], "label_lag": 1, "rs_horizons": [5], "vpin_buckets_per_day": 8, "vpin_window": 6,
    "vpin_min": 2, "xv_horizons": [5], "xv_corr_horizon": 10, "pca_days": 2, "pca_min_rows": 20,
}  # fmt: skip
AHEAD_US = 11 * SECOND


@pytest.fixture
def config(lake):
    """A configuration whose windows fit into a minute of data."""
    return config_of(lake.root, **OPTIONS)


def bring_up_to_date(lake, config):
    """What a real-time run does, and the refresh after it: the gold tables' changes."""
    land(lake, "ccxt")
    for day in DAYS:
        outcomes = list(update(lake, config, "ccxt", day))
        assert all(isinstance(outcome, Change) for outcome in outcomes), outcomes
        mark(lake, "ccxt", day, of=GOLD)
    return refreshed(lake, config)


def refreshed(lake, config):
    outcomes = list(refresh(lake, config, gold_marks(lake)))
    assert all(isinstance(outcome, Change) for outcome in outcomes), outcomes
    assert not gold_marks(lake)
    return outcomes


def everything(lake):
    """Every gold partition, as anybody reads it."""
    return {
        (dataset.asset, place.instrument.key, day): pl.read_parquet(
            f"{lake.partition(place, dataset.folder)}/*.parquet"
        )
        for dataset in REFRESHED
        for day in DAYS
        for place in lake.places("ccxt", dataset.folder, day)
    }


def backfilled(lake, config):
    """The same after every partition was computed anew."""
    for dataset in REFRESHED:
        for day in DAYS:
            for place in lake.places("ccxt", SILVER_ORDERBOOK.folder, day):
                replace(lake, recipe_of(dataset.asset, lake, config, "ccxt"), place)
    return everything(lake)


def assert_same(found, wanted):
    assert {key for key, frame in found.items() if frame.height} == {k for k, frame in wanted.items() if frame.height}
    for key, frame in wanted.items():
        if frame.height:
            print(key, frame.height)
            assert_frame_equal(found[key], frame, check_exact=True)


@pytest.mark.parametrize("seed", range(3))
def test_any_steps_over_midnight_give_the_rows_of_a_backfill(tmp_path, lake, config, seed):
    print("seed", seed)
    rng = random.Random(seed)
    made = records(seed, start_us=MIDNIGHT_US - 60 * SECOND, seconds=110, gaps=0.02, instruments=VENUES)
    manifests = seal(tmp_path / "staging", made, seed=seed, early=0.02)
    while manifests:
        count = rng.randint(1, 4)
        deliver(tmp_path / "staging", lake.root, manifests[:count])
        manifests = manifests[count:]
        bring_up_to_date(lake, config)
    found = everything(lake)
    names = {asset for (asset, _, day), frame in found.items() if frame.height and day == NEXT}
    assert names == {dataset.asset for dataset in REFRESHED}
    assert_same(found, backfilled(lake, config))
    for dataset in REFRESHED:
        for day in DAYS:
            for place in lake.places("ccxt", dataset.folder, day):
                for name, check in CHECKS[dataset].items():
                    verdict = check(Stored(lake, config, dataset, place))
                    assert verdict.is_passed, (dataset.asset, name, verdict.detail)


@pytest.mark.parametrize("seed", range(3))
def test_segments_in_any_order_are_made_up_for(tmp_path, lake, config, seed):
    """A late segment changes its own day, the labels before it and the tables of the next day."""
    print("seed", seed)
    made = records(seed, start_us=MIDNIGHT_US - 40 * SECOND, seconds=75, gaps=0.02, instruments=VENUES[:2])
    manifests = seal(tmp_path / "staging", made, seed=seed, early=0.01)
    last = manifests.pop()
    random.Random(seed).shuffle(manifests)
    for manifest in (*manifests, last):
        deliver(tmp_path / "staging", lake.root, [manifest])
        bring_up_to_date(lake, config)
    assert_same(everything(lake), backfilled(lake, config))


def test_a_refresh_without_anything_new_changes_nothing(lake, config):
    seal(lake.root, records(1, seconds=60, instruments=VENUES))
    assert bring_up_to_date(lake, config)
    assert bring_up_to_date(lake, config) == []
    assert refreshed(lake, config) == []


def test_a_label_row_is_stored_when_its_longest_window_has_ended(tmp_path, lake, config):
    """Rows appear late, complete, and are never changed by what comes after."""
    manifests = seal(tmp_path / "staging", records(2, seconds=60, instruments=VENUES[:1]))
    seen = {}
    for manifest in manifests:
        deliver(tmp_path / "staging", lake.root, [manifest])
        bring_up_to_date(lake, config)
        for (asset, _, _), frame in everything(lake).items():
            if asset == "gold/labels":
                assert frame["ts"].max() <= manifest.to_us - AHEAD_US
                assert (frame["label_end_ts"] - frame["ts"]).unique().to_list() == [AHEAD_US]
                rows = {row["ts"]: row for row in frame.to_dicts()}
                assert all(rows[ts] == row for ts, row in seen.items())
                seen = rows
    assert len(seen) > 20


def test_labels_of_the_evening_are_finished_by_the_morning(tmp_path, lake, config):
    """Silver that lands after midnight advances the day before."""
    made = records(3, start_us=MIDNIGHT_US - 30 * SECOND, seconds=60, instruments=VENUES[:1])
    manifests = seal(tmp_path / "staging", made)
    evening = [m for m in manifests if m.to_us <= MIDNIGHT_US]
    deliver(tmp_path / "staging", lake.root, evening)
    bring_up_to_date(lake, config)
    key = ("gold/labels", "binanceus:BTC-USDT", DAY)
    before = everything(lake)[key]
    assert before["ts"].max() <= MIDNIGHT_US - AHEAD_US
    deliver(tmp_path / "staging", lake.root, manifests[len(evening) :])
    changes = bring_up_to_date(lake, config)
    after = everything(lake)[key]
    (place,) = lake.places("ccxt", SILVER_ORDERBOOK.folder, DAY)
    silver = pl.read_parquet(f"{lake.partition(place, SILVER_ORDERBOOK.folder)}/*.parquet")
    assert after["ts"].to_list() == silver["ts"].to_list()
    assert after.height > before.height
    assert not any(c.is_rebuilt for c in changes if c.dataset.asset == "gold/labels")


def test_the_slowest_venue_holds_the_others(tmp_path, lake, config):
    """A cross-venue row waits for every venue of its group, also for one that another collector brings."""
    here = records(4, seconds=60, instruments=VENUES[:1])
    there = records(5, seconds=60, instruments=[("coinbase", "BTC/USDT")])
    seal(lake.root, here)
    slow = seal(tmp_path / "staging", there, source="coinbase")
    deliver(tmp_path / "staging", lake.root, slow[:2], source="coinbase")
    land(lake, "coinbase")
    assert all(isinstance(o, Change) for o in update(lake, config, "coinbase", DAY))
    bring_up_to_date(lake, config)
    key = ("gold/cross_venue", "binanceus:BTC-USDT", DAY)
    frame = everything(lake)[key]
    assert frame["ts"].max() <= slow[1].to_us
    assert frame["xv_n"].max() == 2
    deliver(tmp_path / "staging", lake.root, slow[2:], source="coinbase")
    land(lake, "coinbase")
    assert all(isinstance(o, Change) for o in update(lake, config, "coinbase", DAY))
    mark(lake, "coinbase", DAY, of=GOLD)
    refreshed(lake, config)
    found = everything(lake)
    assert found[key]["ts"].max() > slow[1].to_us
    assert_same(found, backfilled(lake, config))


def test_a_table_that_is_off_is_not_refreshed(lake, config):
    gold = config.etl.gold.model_copy(update={"vpin": config.etl.gold.vpin.model_copy(update={"enabled": False})})
    changed = config.model_copy(update={"etl": config.etl.model_copy(update={"gold": gold})})
    seal(lake.root, records(6, start_us=MIDNIGHT_US - 30 * SECOND, seconds=60, instruments=VENUES))
    bring_up_to_date(lake, changed)
    assert "gold/vpin" not in {asset for asset, _, _ in everything(lake)}
    mark(lake, "ccxt", NEXT, of=GOLD)
    assert {change.dataset.asset for change in refreshed(lake, config)} == {"gold/vpin"}


def test_what_fails_keeps_its_mark(lake, config):
    """A silver part that cannot be read: one clear error, the other instrument goes on, the next refresh tries again."""
    seal(lake.root, records(7, seconds=60, instruments=VENUES))
    land(lake, "ccxt")
    list(update(lake, config, "ccxt", DAY))
    mark(lake, "ccxt", DAY, of=GOLD)
    place = lake.places("ccxt", SILVER_ORDERBOOK.folder, DAY)[0]
    part = next(lake.partition(place, SILVER_ORDERBOOK.folder).iterdir())
    whole = part.read_bytes()
    part.write_bytes(b"no parquet")
    outcomes = list(refresh(lake, config, gold_marks(lake)))
    failed = [o for o in outcomes if not isinstance(o, Change)]
    assert failed
    assert all(part.name in str(o.error) for o in failed)
    assert any(isinstance(o, Change) and o.place.instrument.exchange == "kraken" for o in outcomes)
    assert [m.date for m in gold_marks(lake)] == [DAY]
    part.write_bytes(whole)
    assert {change.place for change in refreshed(lake, config)} >= {place}


def test_a_backfill_never_wipes_what_it_cannot_compute_again(lake, config):
    """Once retention has deleted the silver that set the day's volume buckets, what is stored stays."""
    seal(lake.root, records(8, start_us=MIDNIGHT_US - 30 * SECOND, seconds=60, instruments=VENUES[:1]))
    bring_up_to_date(lake, config)
    before = everything(lake)
    (place,) = lake.places("ccxt", SILVER_ORDERBOOK.folder, DAY)
    shutil.rmtree(lake.partition(place, SILVER_ORDERBOOK.folder))
    (later,) = lake.places("ccxt", SILVER_ORDERBOOK.folder, NEXT)
    with pytest.raises(DataError, match="not all is there to compute gold/vpin"):
        replace(lake, recipe_of("gold/vpin", lake, config, "ccxt"), later)
    assert refreshed(lake, config) == []
    assert_same(everything(lake), before)
