"""The check `configuration_current`, executed and by its sensor, over an instance and a lake of their own."""

import time

import dagster as dg
import pytest
from support.market import DAY, config_of, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.staleness import CHECK, REST, configuration_sensor, known_versions, stale_partitions
from fluxforge_assets.lake.datasets import DATASETS, GOLD_BARS, SILVER_ORDERBOOK

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]
KEY = f"{DAY}|binanceus:BTC-USDT"
SILVER, BARS = (dg.AssetKey(d.asset_key) for d in (SILVER_ORDERBOOK, GOLD_BARS))


@pytest.fixture
def filled(lake, config, instance):
    """A lake with one instrument's silver orderbook and bars, made by their assets."""
    seal(lake.root, records(3, seconds=30))
    bronze = [dg.AssetKey(["bronze", channel]) for channel in ("orderbook", "trades", "gaps")]
    materialise(config, instance, *bronze, partition=DAY)
    return materialise(config, instance, SILVER, BARS, partition=KEY)


@pytest.fixture
def changed(lake):
    """A configuration by which what is filled is stale."""
    return config_of(lake.root, horizons=[1, 10])


@pytest.fixture
def tick(changed, instance, filled):
    """One evaluation of the sensor after the change, from a cursor."""
    resources = {"lake": build(changed).resources["lake"]}

    def evaluate(cursor):
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources)
        return configuration_sensor(changed)(context)

    return evaluate


def materialise(config, instance, *selected, partition):
    job = build(config).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, partition_key=partition, asset_selection=list(selected), raise_on_error=True
    )
    assert result.success
    return result


def evaluation(result, key):
    return next(e for e in result.get_asset_check_evaluations() if (e.asset_key, e.check_name) == (key, CHECK))


def test_a_partition_is_current_when_made_and_stale_after_a_change(changed, instance, lake, filled):
    made = evaluation(filled, SILVER)
    assert made.passed
    assert made.metadata["stored"].value == 1
    found = stale_partitions(instance, lake, changed, SILVER_ORDERBOOK)
    assert [place.instrument.key for place in found.stale] == ["binanceus:BTC-USDT"]
    again = evaluation(materialise(changed, instance, SILVER, partition=KEY), SILVER)
    assert again.passed
    assert again.metadata["stale"].value == 0


def test_versions_come_from_the_index_of_events(instance, config, filled):
    current = GOLD_BARS.fingerprint(config.etl.channels.orderbook.processor_options)
    assert known_versions(instance, GOLD_BARS) == {(DAY, "binanceus:BTC-USDT"): current}


def test_the_sensor_judges_once_a_configuration_and_names_the_command(changed, instance, tick):
    first = tick(None)
    verdicts = {event.asset_key: event for event in first.asset_events}
    assert len(verdicts) == len(DATASETS)
    assert not verdicts[SILVER].passed
    assert verdicts[SILVER].metadata["stale"].value == 1
    assert verdicts[SILVER].metadata["mend"].value == "fluxforge backfill --stale --asset silver/orderbook --launch"
    assert "binanceus:BTC-USDT" in verdicts[SILVER].metadata["partitions"].value
    again = tick(looked(first.cursor, 0, 0))
    assert not again.asset_events
    assert "as many partitions are stale as before: " in again.skip_reason.skip_message
    materialise(changed, instance, SILVER, BARS, partition=KEY)
    later = tick(looked(first.cursor, 0, 0))
    assert SILVER in {event.asset_key for event in later.asset_events}
    assert all(event.passed for event in later.asset_events)
    assert isinstance(tick(looked(later.cursor, 0, 0)), dg.SkipReason)
    state, counts, _ = later.cursor.split("|")
    yesterday = f"{state[:-10]}2026-01-01|{counts}|{time.time()} 3600"
    assert len(tick(yesterday).asset_events) == len(DATASETS)


def test_the_sensor_rests_as_long_as_looking_took_many_times(tick):
    """Looking through a year of 500 instruments takes longer than the sensor's interval lasts."""
    began_s = time.time()
    first = tick(None)
    now_s = time.time()
    ended_s, took_s = map(float, first.cursor.rpartition("|")[2].split())
    assert began_s - 0.01 <= ended_s - took_s <= ended_s <= now_s + 0.01
    rests = tick(looked(first.cursor, now_s - REST * 3600 + 600, 3600))
    assert "as many partitions were stale as before: " in rests.skip_message
    assert tick(looked(first.cursor, now_s - REST * 3600 - 1, 3600)).cursor
    assert tick(looked(first.cursor, now_s + 600, 3600)).cursor, "the clock was set back"


def looked(cursor, ended_s, took_s):
    """The same cursor, by which looking ended at another time and took so long."""
    return f"{cursor.rpartition('|')[0]}|{ended_s} {took_s}"
