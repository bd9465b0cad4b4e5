"""The nightly work, in process: compaction and retention over a temporary lake, the purge over a real history."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from support.market import DAY, deliver, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.compaction import COMPACTION, compaction_key
from fluxforge_assets.defs.history import HISTORY_PURGE, finished_runs, owners, purge, superseded
from fluxforge_assets.defs.retention import RETENTION
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.update import update

BTC = f"{DAY}|binanceus:BTC-USDT"
CHANNELS = ("orderbook", "trades", "ticker", "gaps")
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)


@pytest.fixture
def filled(tmp_path, lake, config):
    """A lake whose day, long over, is in many files."""
    manifests = seal(tmp_path / "staging", records(3, seconds=90, gaps=0.05))
    for start in range(0, len(manifests), 3):
        deliver(tmp_path / "staging", lake.root, manifests[start : start + 3])
        land(lake, "ccxt")
        list(update(lake, config, "ccxt", DAY))
    return lake


def run(defs, instance, job):
    return defs.get_repository_def().get_job(job).execute_in_process(instance=instance, raise_on_error=False)


def tick(defs, instance, name):
    """One evaluation of a schedule."""
    schedule = defs.get_repository_def().get_schedule_def(name)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
    return schedule.evaluate_tick(context)


def compacted(instance, asset):
    """Metadata of the compaction events of an asset, by partition."""
    events = instance.fetch_materializations(compaction_key(asset), limit=100).records
    return {r.partition_key: {k: v.value for k, v in r.asset_materialization.metadata.items()} for r in events}


def test_the_nightly_job_compacts_everything_once(defs, instance, filled):
    assert run(defs, instance, COMPACTION).success
    for asset in (*(f"bronze/{c}" for c in CHANNELS), *(d.asset for d in STORED)):
        events = compacted(instance, asset)
        assert len(events) == (1 if asset.startswith("bronze/") else 3), asset
        assert all(known["files_after"] == 1 < known["files_before"] for known in events.values())
        assert all(known["bytes_after"] < known["bytes_before"] for known in events.values())
    again = run(defs, instance, COMPACTION)
    assert again.success
    assert again.get_asset_materialization_events() == []


def test_a_partition_is_compacted_on_its_own(defs, instance, filled):
    instance.add_dynamic_partitions("instruments", ["binanceus:BTC-USDT"])
    assets = [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)]
    for names, key in ((["silver_trades"], BTC), (["bronze_trades"], DAY)):
        result = dg.materialize(
            assets,
            selection=dg.AssetSelection.assets(*[["compaction", name] for name in names]),
            partition_key=key,
            instance=instance,
            resources=defs.resources,
        )
        assert result.success
    assert compacted(instance, "silver/trades")[BTC]["files_after"] == 1
    assert compacted(instance, "bronze/trades")[DAY]["compacted"]
    (one,) = [d for d in STORED if d.asset == "silver/trades"]
    counts = {
        p.instrument.key: len(parts_of(filled.partition(p, one.folder))) for p in filled.places("ccxt", one.folder, DAY)
    }
    assert counts.pop("binanceus:BTC-USDT") == 1
    assert all(count > 1 for count in counts.values())


def test_an_open_day_is_refused(defs, instance, filled):
    today = datetime.now(UTC).date().isoformat()
    result = dg.materialize(
        [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(["compaction", "bronze_trades"]),
        partition_key=today,
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
    )
    assert not result.success
    (event,) = [e for e in result.all_events if e.is_step_failure]
    assert "is not closed yet" in event.step_failure_data.user_failure_data.description


def test_schedules_run_daily_and_only_for_a_reason(instance, lake, config):
    defs = build(config)
    assert len(tick(defs, instance, "daily_compaction").run_requests) == 1
    assert len(tick(defs, instance, "daily_history_purge").run_requests) == 1
    assert "no rule is set" in tick(defs, instance, "daily_retention").skip_message
    values = config.model_dump() | {"retention": {"keep_silver_days": 3}, "compaction": {"enabled": False}}
    defs = build(type(config).model_validate(values))
    assert len(tick(defs, instance, "daily_retention").run_requests) == 1
    assert "compaction.enabled" in tick(defs, instance, "daily_compaction").skip_message
    for schedule in defs.get_repository_def().schedule_defs:
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        assert schedule.execution_timezone == "UTC"


def test_retention_deletes_what_its_rule_names(instance, filled, config):
    values = config.model_dump() | {"retention": {"keep_silver_days": 1}}
    defs = build(type(config).model_validate(values))
    assert run(defs, instance, RETENTION).success
    assert list((filled.root / "processed/ccxt").glob("orderbook/hf/**/*.parquet")) == []
    assert list((filled.root / "processed/ccxt").glob("orderbook/bars/**/*.parquet"))
    assert list(filled.raw.glob("archive/ccxt/orderbook/date=*/*.parquet"))


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def counted():
    return None


@dg.asset_check(asset=counted)
def is_counted():
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def history(tmp_path):
    """A real history on disk."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def materialise(instance, partition):
    return dg.materialize([counted, is_counted], partition_key=partition, instance=instance).run_id


def moment():
    """From now on, everything before has ended."""
    return datetime.now(UTC) + timedelta(seconds=1)


def test_superseded_runs_own_nothing():
    assert superseded(["1", "2", "3"], {"2", "4"}) == ["1", "3"]
    assert superseded([], {"2"}) == []


def test_a_purge_keeps_the_status_of_every_partition(history, tmp_path):
    runs = [materialise(history, partition) for partition in "aababbab"]
    newest = {runs[6], runs[7]}
    status = history.get_materialized_partitions(counted.key)
    events = {p: history.fetch_materializations(counted.key, limit=99).records[0].run_id for p in "ab"}
    check = history.event_log_storage.get_asset_check_execution_history(is_counted.check_key, limit=1)[0].run_id
    assert owners(history) == newest
    done = purge(history, before=moment())
    assert (done.deleted, done.kept) == (6, 2)
    assert done.bytes_after < done.bytes_before
    assert {r.run_id for r in history.get_runs()} == newest
    assert history.get_materialized_partitions(counted.key) == status == {"a", "b"}
    assert {p: history.fetch_materializations(counted.key, limit=99).records[0].run_id for p in "ab"} == events
    assert history.event_log_storage.get_asset_check_execution_history(is_counted.check_key, limit=1)[0].run_id == check
    assert {path.name.split(".")[0] for path in Path(tmp_path).rglob("*-*-*-*-*.db")} == newest
    assert purge(history, before=moment()).deleted == 0


def test_a_run_that_told_many_times_keeps_its_last_word_on_each_partition(history):
    """In the index, its tags, and the run's own log."""
    told = dg.AssetKey(["told"])

    @dg.op
    def follow(context):
        for number in range(5):
            for partition in "ab":
                tags = {"dagster/data_version": str(number)}
                event = dg.AssetMaterialization(told, partition=partition, metadata={"number": number}, tags=tags)
                context.log_event(event)
            context.log_event(dg.AssetObservation(told, partition="a", metadata={"number": number}))

    @dg.job(executor_def=dg.in_process_executor)
    def staying():
        follow()

    run = staying.execute_in_process(instance=history)
    size = history.event_log_storage.path_for_shard(run.run_id)
    before = Path(size).stat().st_size
    done = purge(history, before=moment())
    assert (done.deleted, done.kept, done.thinned) == (0, 1, 12)
    records = history.fetch_materializations(told, limit=99).records
    assert {r.partition_key: r.asset_materialization.metadata["number"].value for r in records} == {"a": 4, "b": 4}
    assert len(records) == 2
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    assert len(history.all_logs(run.run_id, of_type=kind)) == 2
    versions = history.event_log_storage.get_latest_tags_by_partition(told, kind, ["dagster/data_version"])
    assert versions == {partition: {"dagster/data_version": "4"} for partition in "ab"}
    assert history.get_materialized_partitions(told) == {"a", "b"}
    assert Path(size).stat().st_size <= before
    assert purge(history, before=moment()).thinned == 0


def test_a_purge_leaves_runs_under_way_and_recent_ones(history):
    active = history.create_run_for_job(dg.Definitions(assets=[counted]).resolve_implicit_global_asset_job_def())
    first = materialise(history, "a")
    between = datetime.now(UTC) - timedelta(hours=1)
    materialise(history, "a")
    assert purge(history, before=between).deleted == 0
    assert purge(history, before=moment()).deleted == 1
    assert not history.has_run(first)
    assert history.has_run(active.run_id)
    assert active.run_id not in finished_runs(history, moment())


def test_a_failed_partition_keeps_its_failure(history):
    """What failed last must still show as failed."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]))
    def failing():
        raise ValueError

    failed = [
        dg.materialize([failing], partition_key="a", instance=history, raise_on_error=False).run_id for _ in range(3)
    ]
    assert purge(history, before=moment()).deleted == 2
    assert [r.run_id for r in history.get_runs()] == failed[-1:]


def test_what_an_interrupted_purge_left_is_swept(history, tmp_path):
    first = materialise(history, "a")
    materialise(history, "a")
    history.delete_run(first)
    assert list(tmp_path.rglob(f"{first}.db"))
    purge(history, before=moment())
    assert list(tmp_path.rglob(f"{first}.db*")) == []


def test_the_purge_job_runs(config, history):
    values = config.model_dump() | {"retention": {"keep_run_days": 0}}
    defs = build(type(config).model_validate(values))
    runs = [materialise(history, "a") for _ in range(3)]
    result = defs.get_repository_def().get_job(HISTORY_PURGE).execute_in_process(instance=history)
    assert result.success
    assert {r.run_id for r in history.get_runs()} == {runs[-1], result.run_id}
