"""The refresh of the gold tables: its schedule and job, its assets by hand, and how the page shows them."""

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, NOON_US, SECOND, config_of, records, seal

from fluxforge_assets.defs.refreshing import REFRESH
from fluxforge_assets.lake.datasets import GOLD_LABELS, REFRESHED
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import GOLD, mark
from fluxforge_assets.lake.update import update

NEXT = "2026-11-21"
KEY = f"{NEXT}|binanceus:BTC-USDT"
VENUES = (("binanceus", "BTC/USDT"), ("okx", "BTC/USDT"))


@pytest.fixture
def config(lake):
    """A configuration whose windows fit into a minute of data."""
    return config_of(
        lake.root, label_horizons=[1, 5], rs_horizons=[5], vpin_buckets_per_day=8, vpin_min=2, vpin_window=6,
        xv_horizons=[5], xv_corr_horizon=10, pca_days=2, pca_min_rows=20,
    )  # fmt: skip


@pytest.fixture
def instance(tmp_path):
    """An instance on disk, which a schedule needs to look at runs."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def filled(lake, config, instance):
    """Silver around midnight, with the mark that a real-time run leaves."""
    midnight_us = NOON_US + 12 * 3600 * SECOND
    seal(lake.root, records(1, start_us=midnight_us - 40 * SECOND, seconds=80, instruments=VENUES))
    land(lake, "ccxt")
    for day in (DAY, NEXT):
        list(update(lake, config, "ccxt", day))
        mark(lake, "ccxt", day, of=GOLD)
    instance.add_dynamic_partitions("instruments", ["binanceus:BTC-USDT", "okx:BTC-USDT"])
    return lake


def tables(lake):
    """Every gold partition of the second day."""
    return {
        (dataset.asset, place.instrument.key): pl.read_parquet(f"{lake.partition(place, dataset.folder)}/*.parquet")
        for dataset in REFRESHED
        for place in lake.places("ccxt", dataset.folder, NEXT)
    }


def evaluate(defs, instance):
    """What the schedule says."""
    schedule = defs.get_repository_def().get_schedule_def(REFRESH)
    lake = {"lake": defs.resources["lake"]}
    return schedule.evaluate_tick(
        dg.build_schedule_context(instance=instance, repository_def=defs.get_repository_def(), resources=lake)
    )


def test_the_schedule_refreshes_what_changed_and_a_backfill_gives_the_same(filled, defs, instance):
    assert len(evaluate(defs, instance).run_requests) == 1
    run = defs.get_repository_def().get_job(REFRESH).execute_in_process(instance=instance)
    assert run.success
    events = {
        (e.asset_key.to_user_string(), e.partition): e for e in run.asset_materializations_for_node("refresh_gold")
    }
    assert {asset for asset, partition in events if partition == KEY} == {dataset.asset for dataset in REFRESHED}
    assert all(e.metadata["rows_written"].value > 0 for e in events.values())
    assert_all_judged(run, defs)
    assert evaluate(defs, instance).run_requests == []
    assert "no silver has changed" in evaluate(defs, instance).skip_message
    found = tables(filled)
    assert {asset for asset, _ in found} == {dataset.asset for dataset in REFRESHED}
    for _, key in found:
        result = dg.materialize(
            [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
            selection=dg.AssetSelection.assets(*[dataset.asset_key for dataset in REFRESHED]),
            partition_key=f"{NEXT}|{key}",
            instance=instance,
            resources=defs.resources,
        )
        assert result.success
        checks = result.get_asset_check_evaluations()
        assert checks
        assert all(check.passed for check in checks), [c.check_name for c in checks if not c.passed]
    for key, frame in tables(filled).items():
        assert_frame_equal(found[key], frame, check_exact=True)


def assert_all_judged(run, defs):
    """Each run judges what it tells of: the page shows nothing that an earlier one found."""
    refreshed = {dg.AssetKey(dataset.asset_key) for dataset in REFRESHED}
    known = {key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key in refreshed}
    found = run.get_asset_check_evaluations()
    assert {e.asset_check_key for e in found} == known
    assert all(e.passed for e in found), [e.check_name for e in found if not e.passed]


def test_lineage_is_from_silver_order_books_alone_and_labels_are_flagged(defs):
    graph = defs.get_repository_def().asset_graph
    for dataset in REFRESHED:
        node = graph.get(dg.AssetKey(dataset.asset_key))
        assert {key.to_user_string() for key in node.parent_keys} == {"silver/orderbook"}
        assert node.metadata["looks_ahead"] == (dataset == GOLD_LABELS)
    labels = graph.get(dg.AssetKey(GOLD_LABELS.asset_key))
    assert labels.tags["look_ahead"] == "true"
    assert labels.description.startswith("LOOK-AHEAD")
    columns = labels.metadata["dagster/column_schema"].columns
    values = [column for column in columns if column.name.startswith("fwd_")]
    assert len(values) > 3
    assert all("Looks ahead" in column.description for column in values)
