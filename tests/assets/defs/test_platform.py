"""Sensor, real-time job, assets and checks together, in process over a temporary lake."""

import json
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import polars as pl
import pytest
from dagster._core.execution.api import create_execution_plan
from polars.testing import assert_frame_equal
from support.market import DAY, INSTRUMENTS, NOON_US, config_of, deliver, records, seal
from support.runs import failure_of, materialise, tick

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.realtime import REALTIME
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.datasets import DATASETS, GOLD_BARS, REFRESHED, SILVER_ORDERBOOK
from fluxforge_assets.lake.landing import dates_waiting
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.plausibility import PLAUSIBLE
from fluxforge_collector.config.load import load_config

BTC = f"{DAY}|binanceus:BTC-USDT"
DEADLINE_SECONDS = 120
KEYS = ("binanceus:BTC-USDT", "binanceus:ETH-USDT", "okx:BTC-USDT_USDT")
APPENDED = [dataset for dataset in DATASETS if dataset not in REFRESHED]


def tables(lake):
    """Every partition of every dataset, as anybody reads it."""
    return {
        (dataset.asset, place): pl.read_parquet(f"{lake.partition(place, dataset.folder)}/*.parquet")
        for dataset in DATASETS
        for place in lake.places("ccxt", dataset.folder, DAY)
    }


def events_of(instance, name):
    """Newest materialisation per partition."""
    records_ = instance.fetch_materializations(dg.AssetKey(name.split("/")), limit=1000).records
    return {r.partition_key: r.asset_materialization for r in reversed(records_)}


def test_segments_become_bars_and_a_backfill_gives_the_same(tmp_path, defs, instance, lake):
    """The sensor's runs append; materialising the same partitions replaces them with the same rows."""
    manifests = seal(tmp_path / "staging", records(3, seconds=50, gaps=0.02), early=0.01)
    while manifests:
        deliver(tmp_path / "staging", lake.root, manifests[:3])
        manifests = manifests[3:]
        assert all(run.success for run in tick(defs, instance))
    assert sorted(instance.get_dynamic_partitions("instruments")) == sorted(KEYS)
    found = tables(lake)
    assert {asset for asset, _ in found} == {d.asset for d in APPENDED}
    for key in KEYS:
        assert materialise(defs, instance, ["silver/orderbook", "gold/bars", "silver/trades"], f"{DAY}|{key}").success
    for key, frame in tables(lake).items():
        assert_frame_equal(found[key], frame, check_exact=True)


def test_every_changed_partition_has_its_own_event(defs, instance, lake):
    """And every check of what the run brings forward has its verdict from the first run on."""
    seal(lake.root, records(4, seconds=30))
    (run,) = tick(defs, instance)
    assert run.success
    for dataset in APPENDED:
        events = events_of(instance, dataset.asset)
        assert sorted(events) == sorted(f"{DAY}|{key}" for key in KEYS)
        event = events[BTC]
        assert event.tags["dagster/data_version"] == dataset.fingerprint(
            config_of(lake.root).etl.channels.orderbook.processor_options
        )
        for name in ("dagster/partition_row_count", "rows_written", "from", "to", "bytes", "files", "null_rate",
                     "gap_seconds", "coverage", "elapsed_seconds", "preview", "plot"):  # fmt: skip
            assert name in event.metadata, name
        assert event.metadata["rows_written"].value > 0
    assert sorted(events_of(instance, "bronze/trades")) == [DAY]
    judged = {(e.asset_key, e.check_name): e.passed for e in run.get_asset_check_evaluations()}
    later = {dg.AssetKey(dataset.asset_key) for dataset in REFRESHED}
    known = defs.resolve_asset_graph().asset_check_keys
    assert judged.keys() == {(key.asset_key, key.name) for key in known if key.asset_key not in later}
    assert all(
        judged[dg.AssetKey(d.asset_key), name] for d in APPENDED for name in {**CHECKS[d], **PLAUSIBLE.get(d, {})}
    )
    assert tick(defs, instance) == []


def test_work_left_by_a_run_that_died_is_taken_up(defs, instance, lake):
    """Landed, but never computed: the mark alone brings the next run."""
    seal(lake.root, records(5, seconds=30))
    assert materialise(defs, instance, ["bronze/orderbook", "bronze/trades"], DAY).success
    assert tables(lake) == {}
    (run,) = tick(defs, instance)
    assert run.success
    assert tables(lake)
    assert [m.is_dirty for m in marks(lake)] == [False]
    assert tick(defs, instance) == []


def test_a_run_stays_for_what_comes_next_and_tells_all_of_it(tmp_path, config, instance, lake, monkeypatch):
    """One run takes up every delivery and keeps parts few; it tells of partitions as they appear, and at its end."""
    config = config.model_copy(update={"compaction": config.compaction.model_copy(update={"open_day_parts": 2})})
    (tmp_path / "fluxforge.yaml").write_text(json.dumps(json.loads(config.model_dump_json())))
    monkeypatch.setenv("FLUXFORGE_CONFIG", str(tmp_path / "fluxforge.yaml"))
    config = load_config()
    manifests = seal(tmp_path / "staging", records(3, seconds=50))
    deliver(tmp_path / "staging", lake.root, manifests[:2])
    job = build(config).get_repository_def().get_job(REALTIME)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(job.execute_in_process, instance=instance)
        try:
            rows = 0
            for manifest in manifests[2:]:
                wait_for(lambda: total(lake) > rows, run)  # noqa: B023  called at once
                rows = max(rows, total(lake))
                deliver(tmp_path / "staging", lake.root, [manifest])
            wait_for(lambda: total(lake) > rows, run)
            wait_for(lambda: len(events_of(instance, "silver/orderbook")) == len(KEYS), run)
            wait_for(lambda: list(lake.raw.glob("ready/**/*.json")) == [], run)
        finally:
            changed = config.model_copy(update={"compaction": config.compaction.model_copy(update={"hour": 5})})
            (tmp_path / "fluxforge.yaml").write_text(json.dumps(json.loads(changed.model_dump_json())))
        assert run.result(DEADLINE_SECONDS).success, "another configuration ends it"
    assert not list(lake.raw.glob("processing/**/*.json"))
    assert list(lake.root.glob("processed/**/part-*-merged.parquet")), "what it appended became fewer parts"
    found = tables(lake)
    for dataset in APPENDED:
        for key, event in events_of(instance, dataset.asset).items():
            (frame,) = [
                f for (asset, place), f in found.items() if asset == dataset.asset and place.instrument.key in key
            ]
            assert event.metadata["dagster/partition_row_count"].value == frame.height


def test_a_run_with_a_date_brings_that_one_up_to_date_and_ends(config, instance, lake, tmp_path, monkeypatch):
    """Even under the configuration that holds, by which another one would stay an hour."""
    (tmp_path / "fluxforge.yaml").write_text(json.dumps(json.loads(config.model_dump_json())))
    monkeypatch.setenv("FLUXFORGE_CONFIG", str(tmp_path / "fluxforge.yaml"))
    seal(lake.root, records(3, seconds=15))
    seal(lake.root, records(4, seconds=15, start_us=NOON_US + 86_400_000_000))
    job = build(load_config()).get_repository_def().get_job(REALTIME)
    run = job.execute_in_process(run_config={"ops": {"follow_segments": {"config": {"date": DAY}}}}, instance=instance)
    assert run.success
    assert sorted(events_of(instance, "gold/bars")) == sorted(f"{DAY}|{key}" for key in KEYS)
    assert dates_waiting(lake, "2026-11-27") == {"2026-11-21"}


def total(lake):
    """Rows of silver so far, none where a part was merged between listing and opening: whoever reads asks again.

    So does who looks into the folder of a new partition just before its first part.
    """
    try:
        return sum(frame.height for (asset, _), frame in tables(lake).items() if asset == "silver/orderbook")
    except (FileNotFoundError, pl.exceptions.ComputeError):
        return 0


def wait_for(condition, run):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert not run.done(), run.result()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_backfill_of_a_range_covers_its_partitions(defs, instance, lake):
    seal(lake.root, records(7, seconds=30))
    assert materialise(defs, instance, ["bronze/orderbook"], DAY).success
    first, *_, last = instance.get_dynamic_partitions("instruments")
    result = materialise_range(defs, instance, "silver/orderbook", first, last)
    assert result.success
    events = events_of(instance, "silver/orderbook")
    assert sorted(events) == sorted(f"{DAY}|{key}" for key in KEYS)
    rows = {key: event.metadata["dagster/partition_row_count"].value for key, event in events.items()}
    assert len(set(rows.values())) > 1
    assert all(e.passed for e in result.get_asset_check_evaluations())


def test_a_run_that_died_in_its_second_step_is_run_again_from_there(defs):
    """As a worker's death leaves it: Dagster refuses where what the first step handed on was lost with its process."""
    job = defs.get_repository_def().get_implicit_job_def_for_assets([dg.AssetKey(GOLD_BARS.asset_key)])
    (step,) = (key for key in create_execution_plan(job).step_keys_to_execute if key == "gold__bars")
    assert create_execution_plan(job, step_keys_to_execute=[step]).artifacts_persisted


def test_a_partition_without_bronze_is_a_clear_failure(defs, instance):
    instance.add_dynamic_partitions("instruments", ["okx:XRP-USDT"])
    result = materialise(defs, instance, ["silver/orderbook"], f"{DAY}|okx:XRP-USDT")
    assert not result.success
    assert "nothing was collected of okx:XRP-USDT" in failure_of(result)


@pytest.mark.parametrize("key", ["XRP", "okx:A/B", "no instrument:x"])
def test_a_key_that_is_no_instrument_is_a_clear_failure(defs, instance, key):
    instance.add_dynamic_partitions("instruments", [key])
    result = materialise(defs, instance, ["silver/trades"], f"{DAY}|{key}")
    assert not result.success
    assert key.split("/")[0] in failure_of(result)
    assert "write it like" in failure_of(result) or "use ccxt's id" in failure_of(result)


def test_a_date_in_the_future_is_refused(defs, instance):
    instance.add_dynamic_partitions("instruments", ["okx:BTC-USDT"])
    with pytest.raises(dg.DagsterError):
        materialise(defs, instance, ["silver/trades"], "2099-01-01|okx:BTC-USDT")


def test_one_bad_partition_leaves_the_others_of_a_range(defs, instance, lake):
    """A rotten archive file of one instrument: the others are replaced and have their events; the run says which."""
    manifests = seal(lake.root, records(8, seconds=20, instruments=INSTRUMENTS[:1]), collector="c1")
    seal(lake.root, records(8, seconds=20, instruments=INSTRUMENTS[1:2]), collector="c2")
    assert materialise(defs, instance, ["bronze/orderbook"], DAY).success
    lake.segments("ccxt").archive_file("orderbook", DAY, manifests[0].id).write_bytes(b"rotten")
    first, last = instance.get_dynamic_partitions("instruments")
    result = materialise_range(defs, instance, "silver/orderbook", first, last)
    assert not result.success
    assert "1 of 2 partitions failed" in failure_of(result)
    assert manifests[0].id in failure_of(result)
    assert list(events_of(instance, "silver/orderbook")) == [f"{DAY}|binanceus:ETH-USDT"]


def test_a_disk_that_fills_during_a_run_is_said_and_leaves_the_others(defs, instance, lake):
    """The file system refuses to let a file grow: that partition stays as it was, the others are replaced."""
    seal(lake.root, records(8, seconds=900, instruments=INSTRUMENTS[:1]), collector="c1")
    seal(lake.root, records(8, seconds=20, instruments=INSTRUMENTS[1:2]), collector="c2")
    tick(defs, instance)
    sizes = {place.instrument.key: sizes_of(lake, place) for place in lake.places("ccxt", "trades", DAY)}
    (large,), (small,) = (sizes[key].values() for key in (KEYS[0], KEYS[1]))
    assert small < 0.8 * large
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((small + large) // 2, before[1]))
    try:
        result = materialise_range(defs, instance, "silver/trades", *instance.get_dynamic_partitions("instruments"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not result.success
    assert "1 of 2 partitions failed" in failure_of(result)
    assert "File too large — free space" in failure_of(result)
    (place, other) = lake.places("ccxt", "trades", DAY)
    assert sizes_of(lake, place) == sizes[KEYS[0]]
    events = instance.fetch_materializations(dg.AssetKey(["silver", "trades"]), limit=99).records
    replaced = {record.partition_key for record in events if record.run_id == result.run_id}
    assert replaced == {f"{DAY}|{other.instrument.key}"}
    assert not list(lake.work.glob("part-*.tmp"))


def sizes_of(lake, place):
    return {path.name: path.stat().st_size for path in lake.partition(place, "trades").iterdir()}


def materialise_range(defs, instance, name, first, last):
    """Materialise an asset's partitions of the day from one instrument to another."""
    return dg.materialize(
        [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(name.split("/")),
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": f"{DAY}|{first}",
            "dagster/asset_partition_range_end": f"{DAY}|{last}",
        },
    )


def test_checks_see_what_is_wrong(config, defs, instance, lake):
    """Each kind of damage to a stored partition fails the check made for it."""
    seal(lake.root, records(9, seconds=30))
    tick(defs, instance)
    place = lake.places("ccxt", SILVER_ORDERBOOK.folder, DAY)[0]
    stored = Stored(lake, config, SILVER_ORDERBOOK, place)
    checks = CHECKS[SILVER_ORDERBOOK]
    assert all(check(stored).is_passed for check in checks.values())
    (file,) = stored.files()
    whole = pl.read_parquet(file)
    damages = {
        "declared_columns": whole.drop("mid"),
        "unique_ordered_keys": pl.concat([whole, whole.tail(1)]),
        "finite_values": whole.with_columns(mid=pl.lit(float("nan"))),
        "no_crossed_book": whole.with_columns(bid_price_l0=pl.col("ask_price_l0")),
        "book_events_conserved": whole.with_columns(n_book=pl.col("n_book") + 1),
        "trade_volume_conserved": whole.with_columns(vol=pl.col("vol") + 1),
    }
    assert damages.keys() == checks.keys()
    for name, damaged in damages.items():
        damaged.write_parquet(file)
        assert not checks[name](stored).is_passed, name


def test_every_asset_is_described(defs):
    graph = defs.get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.group_name == key.path[0]
        if node.group_name not in {"compaction", "maintenance"}:
            columns = node.metadata["dagster/column_schema"].columns
            assert len(columns) > 5
            assert all(column.description for column in columns), key


def test_columns_of_bars_lead_to_the_silver_columns_they_are_made_of(config, defs):
    options = config.etl.channels.orderbook.processor_options
    node = defs.get_repository_def().asset_graph.get(dg.AssetKey(GOLD_BARS.asset_key))
    lineage = node.metadata["dagster/column_lineage"].deps_by_column
    found = {name: {dependency.column_name for dependency in deps} for name, deps in lineage.items()}
    silver = {column.name for column in SILVER_ORDERBOOK.columns(options)}
    assert all(names and names <= silver for names in found.values())
    assert found["mid_close"] == {"mid", "n_book"}
    assert found["vol"] == {"vol"}
    key = {"exchange", "symbol", "date", "ts", "bar_us"}
    assert set(found) == {column.name for column in GOLD_BARS.columns(options)} - key
