"""The check `configuration_current`, executed and by its sensor, over an instance and a lake of their own."""

import dagster as dg
import pytest
from support.market import DAY, config_of, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.staleness import CHECK, configuration_sensor, known_versions, stale_partitions
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


def materialise(config, instance, *selected, partition):
    job = build(config).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, partition_key=partition, asset_selection=list(selected), raise_on_error=True
    )
    assert result.success
    return result


def evaluation(result, key):
    return next(e for e in result.get_asset_check_evaluations() if (e.asset_key, e.check_name) == (key, CHECK))


def test_a_partition_is_current_when_made_and_stale_after_a_change(instance, lake, filled):
    made = evaluation(filled, SILVER)
    assert made.passed
    assert made.metadata["stored"].value == 1
    changed = config_of(lake.root, horizons=[1, 10])
    found = stale_partitions(instance, lake, changed, SILVER_ORDERBOOK)
    assert [place.instrument.key for place in found.stale] == ["binanceus:BTC-USDT"]
    again = evaluation(materialise(changed, instance, SILVER, partition=KEY), SILVER)
    assert again.passed
    assert again.metadata["stale"].value == 0


def test_versions_come_from_the_index_of_events(instance, config, filled):
    current = GOLD_BARS.fingerprint(config.etl.channels.orderbook.processor_options)
    assert known_versions(instance, GOLD_BARS) == {(DAY, "binanceus:BTC-USDT"): current}


def test_the_sensor_judges_once_a_configuration_and_names_the_command(instance, lake, filled):
    config = config_of(lake.root, horizons=[1, 10])
    defs = build(config)

    def tick(cursor):
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"lake": defs.resources["lake"]})
        return configuration_sensor(config)(context)

    first = tick(None)
    verdicts = {event.asset_key: event for event in first.asset_events}
    assert len(verdicts) == len(DATASETS)
    assert not verdicts[SILVER].passed
    assert verdicts[SILVER].metadata["stale"].value == 1
    assert verdicts[SILVER].metadata["mend"].value == "fluxforge backfill --stale --asset silver/orderbook --launch"
    assert "binanceus:BTC-USDT" in verdicts[SILVER].metadata["partitions"].value
    assert isinstance(tick(first.cursor), dg.SkipReason)
    materialise(config, instance, SILVER, BARS, partition=KEY)
    later = tick(first.cursor)
    assert SILVER in {event.asset_key for event in later.asset_events}
    assert all(event.passed for event in later.asset_events)
    assert isinstance(tick(later.cursor), dg.SkipReason)
    state, _, counts = later.cursor.rpartition("|")
    yesterday = f"{state[:-10]}2026-01-01|{counts}"
    assert len(tick(yesterday).asset_events) == len(DATASETS)
