"""A cluster by its profile: a backfill over two workers, one of them killed in the middle, and every row there once.

Each worker is a machine of its own as far as files go: only the lake is shared, a directory or a bucket. It needs
Postgres and Redis; `make cluster` runs it, and `make cluster ARGS="-k directory"` the shorter half.
"""

import json
import os
import re
import signal
import subprocess

import dagster as dg
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from support.cluster import BIN, Cluster, instance_of, require
from support.lakes import deliver
from support.market import config_of, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land, waiting
from fluxforge_assets.lake.paths import Lake, open_lake
from fluxforge_assets.lake.reading import Wanted, open_asset
from fluxforge_assets.lake.update import places_of, recipe_of
from fluxforge_collector.config.load import load_config
from fluxforge_collector.segments.names import date_of

NINTH_US = 1_794_225_600_000_000
DAYS = [NINTH_US + n * 86_400_000_000 for n in range(3)]
SIX = [("binanceus", f"C{number:02}/USDT") for number in range(6)]
SOON = [("poll_interval_seconds: 30", "poll_interval_seconds: 5")]
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)
ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.mark.parametrize("place", ["directory", "bucket"])
def test_a_backfill_outlives_a_worker(place, tmp_path, s3_server):
    require()
    path = configured(tmp_path, place, s3_server)
    config = load_config(path)
    lake, plain = open_lake(config), Lake(tmp_path / "plain")
    for start_us in DAYS:
        made = records(start_us, start_us=start_us, seconds=20, instruments=SIX, gaps=0.02)
        deliver(tmp_path / "staging", lake, seal(tmp_path / "staging", made, segment_seconds=60))
        seal(plain.root, made, segment_seconds=60)
    expected = computed(plain, config)

    folder = tmp_path / "cluster"
    folder.mkdir()
    with Cluster(folder, path, s3_server, changes=SOON) as cluster:
        cluster.start_workers("a", "b")
        cluster.set_pool("backfill", 2)
        with instance_of(cluster) as instance:
            cluster.wait_for(lambda: not waiting(lake, "ccxt") and all_ended(instance, 1))
            assert_same(stored(lake), expected)

            launched = backfill(cluster)
            cluster.wait_for(lambda: finished(cluster, instance, "a") and finished(cluster, instance, "b"))
            task = stopped_in_the_middle(cluster, instance, "b")
            cluster.kill_worker("b")
            if place == "bucket":  # as systemd does: its name is there again, what it was doing is not
                cluster.start_workers("b")
            cluster.wait_for(lambda: has_completed(instance, launched), 900)
            (lost,) = [run for run in instance.get_runs() if run.tags.get("dagster-celery/task_id") == task]
            assert lost.status == dg.DagsterRunStatus.FAILURE
            (again,) = [run for run in instance.get_runs() if run.parent_run_id == lost.run_id]
            assert again.status == dg.DagsterRunStatus.SUCCESS
            done = {name: finished(cluster, instance, name) for name in cluster.workers}
            assert all(done.values()), done
    assert_same(stored(lake), expected)
    print(json.dumps({"lake": place, "runs": done}))


def configured(folder, place, s3_server):
    """A configuration with its lake in a directory or a bucket, as a file that every machine has."""
    made = json.loads(config_of(folder / "lake").model_dump_json())
    made["etl"]["stay_seconds"] = 0
    if place == "bucket":
        made["lake"] = {"root": f"s3://{s3_server.bucket()}/lake", "work": str(folder / "work")}
        made["storage"] = {
            "endpoint": s3_server.endpoint, "region": "us-east-1", "access_key": "test:tester", "secret_key": "testing",
        }  # fmt: skip
    path = folder / "fluxforge.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def computed(lake, config):
    """What one process computes of the same segments."""
    land(lake, "ccxt")
    for start_us in DAYS:
        for place in places_of(lake, "ccxt", date_of(start_us)):
            for dataset in STORED:
                replace(lake, recipe_of(dataset.asset, lake, config, "ccxt"), place)
    return stored(lake)


def stored(lake):
    """Every row of every dataset, as our reader gives it."""
    found = {}
    for dataset in STORED:
        frame = open_asset(lake, dataset.asset, Wanted()).collect()
        keys = [name for name in ("exchange", "symbol", "date", "bar_us", "ts", "capture_ts", "seq") if name in frame]
        found[dataset.asset] = frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort(keys)
    return found


def assert_same(found, expected):
    for asset, frame in expected.items():
        assert_frame_equal(found[asset], frame, check_exact=True)


def all_ended(instance, least):
    runs = instance.get_runs()
    return len(runs) >= least and all(run.status in ENDED for run in runs)


def backfill(cluster):
    """Launch it as a user does; the ids of Dagster's backfills.

    A run a partition: enough that some are left for a worker whose first run, which imports everything, took ten seconds.
    """
    command = ["backfill", "--all", "--launch", "--run-size", "1", "--url", cluster.url, "--json"]
    done = subprocess.run(
        [BIN / "fluxforge", *command, "--asset", "silver/orderbook", "--asset", "gold/bars"],
        env=cluster.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["launched"]


def finished(cluster, instance, name):
    """How many runs of the backfill a worker has done."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
    tasks = [run.tags["dagster-celery/task_id"] for run in runs if "dagster/backfill" in run.tags]
    return sum(f"execute_job[{task}] received" in log(cluster, name) for task in tasks)


def stopped_in_the_middle(cluster, instance, name):
    """Halt the worker while it is at a run of the backfill; the run's task."""
    group = os.getpgid(cluster.workers[name].pid)

    def halted():
        started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        for run in started:
            task = run.tags.get("dagster-celery/task_id", "?")
            if "dagster/backfill" in run.tags and f"execute_job[{task}]" in log(cluster, name):
                os.killpg(group, signal.SIGSTOP)
                if instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED:
                    return task
                os.killpg(group, signal.SIGCONT)
        return None

    return cluster.wait_for(halted)


def has_completed(instance, launched):
    """Whether every backfill is done, all its partitions made."""
    states = [instance.get_backfill(one).status.value for one in launched]
    assert not [state for state in states if re.search("FAIL|CANCEL", state)], states
    return all(state.startswith("COMPLETED") for state in states)


def log(cluster, name):
    return (cluster.folder / f"{name}.log").read_text()
