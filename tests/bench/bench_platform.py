"""Figures of the platform around the computing: what idles, what a tick, a backfill, a year of partitions cost.

`python tests/bench/bench_platform.py [idle] [tick] [status] [backfill] [compaction]` (all without a name) prints each
with the machine's load, and ends with JSON. Seconds depend on the machine; a loaded one makes them several times longer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from datetime import date, timedelta
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import dagster as dg
import duckdb
import polars as pl
import sqlalchemy as sa
import yaml
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from processes import BIN, ask, cpu_seconds, development, home_of, lean, memory_mb, server
from support.market import NOON_US, SECOND, config_of, deliver, records, seal

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.sensors import ready_sensor
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.update import update
from fluxforge_collector.segments.manifest import read_manifest, write_manifest
from fluxforge_collector.segments.names import date_of

SETTLE_SECONDS, IDLE_SECONDS = 60, 60
DAY_US = 86_400 * SECOND
DEADLINE_SECONDS = 3600
INDEX_ROWS = 20_000
"""Rows written to the index at once."""


def main() -> None:
    """Measure, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(FIGURES)}")
    found: dict[str, object] = {"bench": "platform"}
    for name in parser.parse_args().figures or FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = FIGURES[name](Path(folder)) | {"load_average": round(os.getloadavg()[1], 1)}
        print(f"{name}: {found[name]}", flush=True)
    print(json.dumps(found))


def configured(folder: Path, **etl: object) -> dict[str, str]:
    """A home with a small configuration over an empty lake; the environment of its commands."""
    values = json.loads(config_of(folder / "lake").model_dump_json())
    values["etl"] |= etl
    (folder / "fluxforge.yaml").write_text(yaml.safe_dump(values))
    return home_of(folder, folder / "fluxforge.yaml")


def many(count: int) -> list[tuple[str, str]]:
    """So many instruments."""
    return [("bench", f"C{number:03}/USD") for number in range(count)]


def idle(folder: Path) -> dict[str, object]:
    """Memory, and share of one core, of each profile while nothing waits."""
    found: dict[str, object] = {}
    for name, profile in (("lean", lean), ("server", server), ("development", development)):
        (folder / name).mkdir()
        with profile(configured(folder / name)) as given:
            processes = given[0] if isinstance(given, tuple) else given
            time.sleep(SETTLE_SECONDS)
            before = cpu_seconds(processes)
            time.sleep(IDLE_SECONDS)
            share = (cpu_seconds(processes) - before) / IDLE_SECONDS
            found[name] = memory_mb(processes) | {"cpu_share": round(share, 3)}
    return found


def tick(folder: Path, *, segments: int = 1000, instruments: int = 50) -> dict[str, object]:
    """Seconds of the sensor's tick while many segments wait: the first, which meets all instruments, and later ones."""
    lake, config = Lake(folder / "lake"), config_of(folder / "lake")
    (real,) = seal(lake.root, records(1, seconds=5, instruments=many(instruments)), segment_seconds=60)
    manifest = read_manifest(lake.segments("ccxt").ready_manifest(real.id))
    head, _, tail = manifest.id.rpartition("_")
    for number in range(1, segments):
        name = f"{head}_{tail[:-4]}{number:04}"
        write_manifest(lake.segments("ccxt").ready_manifest(name), manifest.model_copy(update={"id": name}))
    defs = build(config)
    job = defs.get_repository_def().get_job("realtime")
    seconds = []
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        for _ in range(5):
            context = dg.build_sensor_context(instance=instance, resources={"lake": defs.resources["lake"]})
            began = time.monotonic()
            result = ready_sensor(config, job)(context)
            seconds.append(time.monotonic() - began)
            assert result.run_requests
    return {"segments": segments, "first_s": round(seconds[0], 2), "median_s": round(median(seconds), 2)}


def status(folder: Path, *, dates: int = 365, instruments: int = 500) -> dict[str, object]:
    """What the page asks of an asset with so many materialised partitions, cold and warm; the webserver's memory."""
    days = [(date(2025, 11, 1) + timedelta(days=n)).isoformat() for n in range(dates)]
    environment = configured(folder, start_date=days[0])
    names = [f"bench:C{number:03}-USD" for number in range(instruments)]
    home = environment["DAGSTER_HOME"]
    with chdir(home), dg.DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions("instruments", names)
        fill(instance, SILVER_ORDERBOOK.asset_key, [(day, name) for day in days for name in names])
    found: dict[str, object] = {"partitions": dates * instruments}
    with server(environment) as (processes, url):
        deadline = time.monotonic() + 300
        while "RepositoryLocation" not in json.dumps(ask(url, LOADED)):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        for name, query in QUERIES.items():
            wanted = query % json.dumps(f"{days[-1]}|{names[0]}") if "%s" in query else query
            asked = f"query($key: AssetKeyInput!) {{ assetNodes(assetKeys: [$key]) {{ id {wanted} }} }}"
            taken = []
            for _ in range(3):
                began = time.monotonic()
                answer = ask(url, asked, key={"path": SILVER_ORDERBOOK.asset_key})
                taken.append(time.monotonic() - began)
                assert answer["assetNodes"], answer
            found[name] = {"cold_s": round(taken[0], 2), "warm_s": round(min(taken[1:]), 2)}
        found["webserver"] = memory_mb(processes[-1:])
    return found


def fill(instance: dg.DagsterInstance, key: list[str], partitions: list[tuple[str, str]]) -> None:
    """Write a materialisation of each partition as Dagster would: one by itself, the others as its copies."""
    first_day, first_name = partitions[0]
    tags = {
        "dagster/data_version": "1",
        "dagster/partition/date": first_day,
        "dagster/partition/instrument": first_name,
    }
    partition = dg.MultiPartitionKey({"date": first_day, "instrument": first_name})
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=partition, tags=tags))
    with instance.event_log_storage.index_connection() as connection:
        row = dict(connection.execute(sa.select(SqlEventLogStorageTable)).mappings().one())
        known = [dict(tag) for tag in connection.execute(sa.select(AssetEventTagsTable)).mappings()]
        for start in range(1, len(partitions), INDEX_ROWS):
            rows, labels = [], []
            for number, (day, name) in enumerate(partitions[start : start + INDEX_ROWS], start):
                event = row["event"].replace(first_day, day).replace(first_name, name)
                copy = {**row, "id": row["id"] + number, "event": event, "partition": f"{day}|{name}"}
                rows.append(copy)
                own = {"dagster/partition/date": day, "dagster/partition/instrument": name}
                labels += [
                    {**{k: v for k, v in tag.items() if k != "id"}, "event_id": copy["id"],
                     "value": own.get(tag["key"], tag["value"])}
                    for tag in known
                ]  # fmt: skip
            connection.execute(sa.insert(SqlEventLogStorageTable), rows)
            connection.execute(sa.insert(AssetEventTagsTable), labels)


def backfill(folder: Path, *, days: int = 30, instruments: int = 50) -> dict[str, object]:
    """A backfill of generated bronze through the daemon: runs, wall time, and what of it was not computing."""
    lake, first_us = Lake(folder / "lake"), NOON_US - (days - 1) * DAY_US
    environment = configured(folder, start_date=date_of(first_us))
    for day in range(days):
        made = records(day, start_us=first_us + day * DAY_US, seconds=20, instruments=many(instruments))
        seal(lake.root, made, segment_seconds=60)
    land(lake, "ccxt")
    wanted = days * instruments
    with lean(environment):
        command = [
            BIN / "fluxforge",
            "backfill",
            "--all",
            "--asset",
            "silver/orderbook",
            "--asset",
            "gold/bars",
            "--launch",
        ]
        home = environment["DAGSTER_HOME"]
        while not (Path(home) / ".dagster" / "storage" / "history" / "runs.db").exists():
            time.sleep(0.5)
        time.sleep(20)
        subprocess.run(command, cwd=home, env=environment, check=True, stdout=subprocess.DEVNULL)
        began, deadline = time.monotonic(), time.monotonic() + DEADLINE_SECONDS
        with chdir(home), dg.DagsterInstance.from_config(home) as instance:
            while {b.status.value for b in instance.get_backfills()} != {"COMPLETED_SUCCESS"}:
                assert time.monotonic() < deadline, instance.get_backfills()
                time.sleep(1)
            took = time.monotonic() - began
            runs = instance.get_run_records(dg.RunsFilter(tags={"fluxforge/backfill": "command"}))
            computing = sum(computed_seconds(instance, d.asset_key) for d in (SILVER_ORDERBOOK, GOLD_BARS))
    in_runs = sum(r.end_time - r.start_time for r in runs)
    assert len(list(lake.root.glob("processed/ccxt/orderbook/bars/*/*/*"))) == wanted
    return {
        "partitions": 2 * wanted, "runs": len(runs), "wall_s": round(took, 1), "in_runs_s": round(in_runs, 1),
        "computing_s": round(computing, 1), "overhead_share": round(1 - computing / took, 3),
    }  # fmt: skip


def computed_seconds(instance: dg.DagsterInstance, key: list[str]) -> float:
    """What an asset's partitions said that computing them took."""
    events = instance.fetch_materializations(dg.AssetKey(key), limit=5000).records
    return sum(float(e.asset_materialization.metadata["elapsed_seconds"].value) for e in events)


def compaction(folder: Path, *, segments: int = 240) -> dict[str, object]:
    """A day in many files, then in few: files, bytes, seconds of a query; and what a second run does."""
    lake, config = Lake(folder / "lake"), config_of(folder / "lake")
    made = records(1, seconds=segments * 30, instruments=many(2))
    manifests = seal(folder / "staging", made, segment_seconds=30)
    for manifest in manifests:
        deliver(folder / "staging", lake.root, [manifest])
        land(lake, "ccxt")
        list(update(lake, config, "ccxt", date_of(NOON_US)))
    before = stored(lake)
    began = time.monotonic()
    first = list(compact(lake, config.compaction, Selection(), now_us=NOON_US + 30 * DAY_US))
    took = time.monotonic() - began
    again = list(compact(lake, config.compaction, Selection(), now_us=NOON_US + 30 * DAY_US))
    found = {"places": len(first), "seconds": round(took, 1), "second_run": len(again)}
    after = stored(lake)
    return found | {name: f"{before[name]} → {after[name]}" for name in before}


def stored(lake: Lake) -> dict[str, float]:
    """Files and bytes of the lake's tables, and how long one is read."""
    files = [*lake.raw.glob("archive/**/*.parquet"), *lake.root.glob("processed/**/*.parquet")]
    bars = f"{lake.dataset('ccxt', GOLD_BARS.folder)}/**/*.parquet"
    books = f"{lake.raw}/archive/ccxt/orderbook/*/*.parquet"
    return {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "bars_polars_ms": milliseconds(lambda: pl.scan_parquet(bars).select(pl.col("vol").sum()).collect()),
        "books_duckdb_ms": milliseconds(lambda: duckdb.sql(f"select count(nonce) from '{books}'").fetchall()),
    }


def milliseconds(read: Callable[[], object]) -> float:
    """The least of five."""
    taken = []
    for _ in range(5):
        began = time.monotonic()
        read()
        taken.append(1e3 * (time.monotonic() - began))
    return round(min(taken), 1)


LOADED = "{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
QUERIES = {
    "partition_bar": """assetPartitionStatuses { ... on MultiPartitionStatuses { ranges {
      primaryDimStartKey primaryDimEndKey secondaryDim { ... on DefaultPartitionStatuses { materializedPartitions } } } }
      }""",
    "counts": "partitionStats { numMaterialized numPartitions numFailed }",
    "one_partition": "latestMaterializationByPartition(partitions: [%s]) { partition timestamp }",
    "keys_by_dimension": "partitionKeysByDimension { name partitionKeys }",
}
FIGURES = {"idle": idle, "tick": tick, "status": status, "backfill": backfill, "compaction": compaction}

if __name__ == "__main__":
    main()
