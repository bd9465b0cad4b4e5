"""A market through the real daemon, segment by segment: nothing lost, nothing doubled, and a backfill gives the same.

Time is the market's own: its minutes are sealed beforehand by the real writer and delivered every few seconds. There
are gaps, a collector that dies and comes back, and segments that come late. The long form, an hour of twenty
instruments whose run is killed in the middle, is `make hour`; it prints its figures.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import chdir, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from support.market import DAY, INSTRUMENTS, NOON_US, SECOND, config_of, deliver, records, seal

from fluxforge_assets.defs.history import history_bytes, purge
from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import waiting
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import places_of, recipe_of
from fluxforge_collector.config.load import load_config
from fluxforge_collector.records import BookRecord, GapReason, GapRecord, TickerRecord, TradeRecord

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 300
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)
CHANNELS = {BookRecord: "orderbook", TradeRecord: "trades", TickerRecord: "ticker", GapRecord: "gaps"}


def test_some_minutes(tmp_path):
    play(tmp_path, INSTRUMENTS, seconds=240, pace_s=1.0, is_killed=False)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_hour_of_twenty_instruments(tmp_path):
    twenty = [("binanceus", f"C{number:02}/USDT") for number in range(20)]
    play(tmp_path, twenty, seconds=3600, pace_s=4.0, is_killed=True)


def play(folder, instruments, *, seconds, pace_s, is_killed):
    """Deliver a market of so many seconds to a running daemon, then judge all of it."""
    lake = Lake(folder / "lake")
    sent, manifests = market(folder / "staging", instruments, seconds)
    environment = at_home(folder, lake)
    config = load_config(folder / "fluxforge.yaml")
    began = time.monotonic()
    with daemon(environment) as process:
        for number, manifest in enumerate(delayed(manifests)):
            deliver(folder / "staging", lake.root, [manifest])
            time.sleep(pace_s)
            if is_killed and number == len(manifests) // 2:
                kill_run(environment)
        wait_for(lambda: is_done(lake, manifests), process, environment)
    took = time.monotonic() - began
    everything_is_here(lake, sent)
    found = tables(lake)
    for place in places_of(lake, "ccxt", DAY):
        for dataset in STORED:
            for name, check in CHECKS[dataset].items():
                verdict = check(Stored(lake, config, dataset, place))
                assert verdict.is_passed, (name, place, verdict.detail)
            replace(lake, recipe_of(dataset.asset, lake, config, "ccxt"), place)
    again = tables(lake)
    assert found.keys() == again.keys()
    assert len(found) == len(STORED) * len(instruments)
    for key, frame in found.items():
        assert_frame_equal(frame, again[key], check_exact=True)
    print(figures(environment, took, found, sent))


def market(staging, instruments, seconds):
    """Records of a market, and the manifests of its sealed segments: the collector dies at half time."""
    half_us = NOON_US + seconds * SECOND // 2
    back_us = half_us + 17 * SECOND
    made = records(11, seconds=seconds, instruments=instruments, gaps=0.01)
    first = [r for r in made if at(r) < half_us]
    crash = [
        GapRecord(*instrument, "all", half_us, back_us, GapReason.CRASH, None, None, 0) for instrument in instruments
    ]
    second = [r for r in made if at(r) > back_us and not (isinstance(r, GapRecord) and r.gap_start_us < half_us)]
    second = [r._replace(seq=seq) for seq, r in enumerate([*crash, *second])]
    manifests = [
        *seal(staging, first, segment_seconds=60, until_us=half_us),
        *seal(staging, second, segment_seconds=60, until_us=NOON_US + seconds * SECOND),
    ]
    return [*first, *second], manifests


def at(record):
    return record.gap_end_us if isinstance(record, GapRecord) else record.capture_us


def delayed(manifests):
    """Every fifth segment comes after the one that follows it."""
    order = list(manifests)
    for position in range(4, len(order) - 1, 5):
        order[position], order[position + 1] = order[position + 1], order[position]
    return order


def at_home(folder, lake):
    """A user's home over the lake: the repository's profile, a configuration, the lean workspace."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (folder / "fluxforge.yaml").write_text(yaml.safe_dump(json.loads(config_of(lake.root).model_dump_json())))
    own = {"DAGSTER_HOME": str(home), "FLUXFORGE_CONFIG": str(folder / "fluxforge.yaml"), "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **own}


@contextmanager
def daemon(environment):
    """The daemon as a user starts it; all it started is gone afterwards."""
    home = Path(environment["DAGSTER_HOME"])
    with (home / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
            cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            for _ in range(2):
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    break
            process.wait()


def kill_run(environment):
    """Kill the run that stays, as the kernel does where memory is short."""
    signs = Path(environment["DAGSTER_HOME"]).glob(".dagster/storage/*/alive")
    newest = max(signs, key=lambda path: path.stat().st_mtime)
    os.kill(int(newest.read_text().split()[1]), signal.SIGKILL)


def wait_for(condition, process, environment):
    log = Path(environment["DAGSTER_HOME"]) / "daemon.log"
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.5)


def is_done(lake, manifests):
    """Whether all has landed and was computed."""
    landed = {path.name for path in lake.raw.glob(f"archive/ccxt/date={DAY}/segment_*.json")}
    return (
        landed == {f"segment_{m.id}.json" for m in manifests}
        and not waiting(lake, "ccxt")
        and [known.is_dirty for known in marks(lake)] == [False]
    )


def everything_is_here(lake, sent):
    """Every record that was sent is in bronze, once, and nothing else."""
    for kind, channel in CHANNELS.items():
        frame = pl.read_parquet(f"{lake.raw}/archive/ccxt/{channel}/date={DAY}/*.parquet")
        stamp = "gap_end" if kind is GapRecord else "capture_ts"
        names = [pl.col("exchange").cast(pl.String), pl.col("symbol").cast(pl.String), pl.col(stamp).cast(pl.Int64)]
        found = sorted(frame.select(*names, "seq").rows())
        assert found == sorted((r.exchange, r.symbol, at(r), r.seq) for r in sent if type(r) is kind), channel


def tables(lake):
    """Every stored partition, as anybody reads it."""
    return {
        (dataset.asset, place): pl.read_parquet(f"{lake.partition(place, dataset.folder)}/*.parquet")
        for dataset in STORED
        for place in lake.places("ccxt", dataset.folder, DAY)
    }


def figures(environment, took, found, sent):
    """What it took: records, rows, runs, and Dagster's history before and after a purge."""
    home = environment["DAGSTER_HOME"]
    with chdir(home), dg.DagsterInstance.from_config(home) as instance:  # its storage is named relative to it
        runs = instance.get_runs()
        before = history_bytes(instance)
        done = purge(instance, before=datetime.now(UTC) + timedelta(seconds=1))
        rows = sum(frame.height for frame in found.values())
        return json.dumps(
            {
                "records": len(sent), "rows": rows, "seconds": round(took, 1), "runs": len(runs),
                "runs_kept": done.kept, "history_mb": round(before / 1e6, 2),
                "history_mb_after_purge": round(history_bytes(instance) / 1e6, 2),
                "load_average": round(os.getloadavg()[1], 1),
            }
        )  # fmt: skip
