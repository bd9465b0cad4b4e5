"""Figures of a cluster on this machine: a backfill with one and with two workers, a run's overhead, Postgres' share.

`python tests/bench/bench_cluster.py [--days 30] [--instruments 20] [--events 300]` starts Postgres, Redis, Dagster and
the workers on loopback, prints, and ends with JSON. Seconds depend on the machine and its load, which is printed too.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import dagster as dg
import yaml
from processes import cpu_seconds
from support.cluster import Cluster, instance_of
from support.market import NOON_US, config_of, deliver, records, seal
from support.s3 import Server

from fluxforge_assets.defs.launching import Webserver
from fluxforge_assets.defs.partitions import register
from fluxforge_assets.lake.backfill import Batch
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import marks, settle
from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.segments.names import DAY_US, date_of

ASSETS = ("silver/orderbook", "gold/bars")
PLAIN = ("fluxforge_assets.defs.pooled", "dagster_postgres"), ("PooledStorage", "DagsterPostgresStorage")


def main():
    """Measure, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--instruments", type=int, default=20)
    parser.add_argument("--events", type=int, default=300)
    asked = parser.parse_args()
    server = Server()
    found = {"bench": "cluster"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            found["backfill"] = backfills(Path(folder), server, asked.days, asked.instruments)
        for name, changes in (("pooled", ()), ("Dagster's own", PLAIN)):
            with tempfile.TemporaryDirectory() as folder:
                found[name] = events(Path(folder), server, asked.events, changes)
    finally:
        server.stop()
    print(json.dumps({**found, "load_average": round(os.getloadavg()[1], 1)}))


def configured(folder):
    """A lake and the file that names it."""
    made = json.loads(config_of(folder / "lake").model_dump_json())
    made["etl"]["start_date"] = "2026-09-01"
    made["etl"]["gold"]["refresh_minutes"] = 60
    (folder / "fluxforge.yaml").write_text(yaml.safe_dump(made))
    (folder / "cluster").mkdir()
    return Lake(folder / "lake"), folder / "fluxforge.yaml", folder / "cluster"


def backfills(folder, server, days, instruments):
    """The same backfill with one worker and with two."""
    lake, path, home = configured(folder)
    names = [("binanceus", f"C{number:02}/USDT") for number in range(instruments)]
    starts = [NOON_US - number * DAY_US for number in range(1, days + 1)]
    for start_us in starts:
        made = records(start_us, start_us=start_us, seconds=10, instruments=names)
        deliver(folder / "staging", lake.root, seal(folder / "staging", made))
    land(lake, "ccxt")
    for known in marks(lake):  # the real-time job has nothing to do
        settle(lake, known, is_complete=True)
    keys = tuple(sorted(f"{date_of(start)}|{e}:{s.replace('/', '-')}" for start in starts for e, s in names))
    found = {}
    with Cluster(home, path, server) as cluster, instance_of(cluster) as instance:
        register(instance, {key.partition("|")[2] for key in keys})
        Webserver(cluster.url).check_configuration(config_of(lake.root), ASSETS)
        for workers in (1, 2):
            cluster.start_workers(f"w{workers}")
            cluster.set_pool("backfill", workers)
            before, began = cpu_seconds([cluster.postgres]), time.monotonic()
            launched = Webserver(cluster.url).launch(Batch(ASSETS, keys))
            cluster.wait_for(lambda one=launched: instance.get_backfill(one).status.value.startswith("COMPLETED"), 1800)
            took = time.monotonic() - began
            found[workers] = {
                "seconds": round(took, 1),
                "partitions": len(keys) * len(ASSETS),
                "partitions_per_s": round(len(keys) * len(ASSETS) / took, 1),
                "postgres_cpu_s": round(cpu_seconds([cluster.postgres]) - before, 1),
                **overhead(instance, launched),
            }
            print(workers, found[workers], flush=True)
    return found


def overhead(instance, backfill):
    """Seconds from a run's launch to its start, medians, and what runs took; the first of a worker imports the code."""
    runs = instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    failed = [record.dagster_run.run_id for record in runs if not record.dagster_run.is_success]
    assert not failed, [str(entry.dagster_event) for run in failed for entry in instance.all_logs(run)][-12:]
    stats = [instance.get_run_stats(record.dagster_run.run_id) for record in runs]
    starting = sorted(one.start_time - one.launch_time for one in stats)
    return {
        "runs": len(runs),
        "launch_to_start_s": round(median(starting), 2),
        "slowest_start_s": round(starting[-1], 2),
        "run_s": round(median(one.end_time - one.start_time for one in stats), 2),
    }


def events(folder, server, count, changes):
    """CPU of this process and of Postgres for materialisations told one by one."""
    _, path, home = configured(folder)
    with Cluster(home, path, server, changes=changes, only_stores=True) as cluster, instance_of(cluster) as instance:
        told = dg.AssetMaterialization("bench", metadata={"rows": 1})
        instance.report_runless_asset_event(told)
        own, served, began = time.process_time(), cpu_seconds([cluster.postgres]), time.monotonic()
        for _ in range(count):
            instance.report_runless_asset_event(told)
        found = {
            "events": count,
            "client_ms": round((time.process_time() - own) / count * 1000, 1),
            "postgres_ms": round((cpu_seconds([cluster.postgres]) - served) / count * 1000, 1),
            "wall_ms": round((time.monotonic() - began) / count * 1000, 1),
        }
    print("Dagster's own" if changes else "pooled", found, flush=True)
    return found


if __name__ == "__main__":
    main()
