"""Bytes of Dagster's history that real time leaves behind, and what the purge leaves of them.

`python tests/bench/bench_history.py [--hours 4]` prints a table and ends with JSON: each hour is one run that stays, tells
of every partition of four datasets each five minutes, and judges each once, as the real-time job does. No figure here
depends on how busy the machine is.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from bench_platform import configured, many
from support.market import NOON_US, config_of, records, seal

from fluxforge_assets.defs.bronze import DESCRIPTIONS, bronze_key, of_date
from fluxforge_assets.defs.checks import evaluations
from fluxforge_assets.defs.history import history_bytes, purge
from fluxforge_assets.defs.processed import of_realtime
from fluxforge_assets.defs.telling import JUDGED_AT_ONCE, TELL_US
from fluxforge_assets.lake.archive import Archive, archives_of
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.model import Config
from fluxforge_collector.segments.names import date_of

TELLINGS = 3_600_000_000 // TELL_US
DAY = date_of(NOON_US)
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def main() -> None:
    """Measure, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--instruments", type=int, default=50)
    parser.add_argument("--hours", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = history(Path(folder), asked.instruments, asked.hours)
    for name, value in found.items():
        print(f"{name:20} {value}")
    print(json.dumps({"bench": "history"} | found))


def history(folder: Path, instruments: int, hours: int) -> dict[str, object]:
    """Bytes of the databases after some hours, and after the purge."""
    lake, config = Lake(folder / "lake"), config_of(folder / "lake")
    seal(lake.root, records(1, seconds=60, instruments=many(instruments)), segment_seconds=60)
    land(lake, "ccxt")
    changes = [change for change in update(lake, config, "ccxt", DAY) if isinstance(change, Change)]
    archives = archives_of(lake)

    @dg.op
    def follow(context: dg.OpExecutionContext) -> None:
        for _ in range(TELLINGS):
            tell(context, lake, changes, archives)
        judge(context, lake, config, changes, archives)

    @dg.job(executor_def=dg.in_process_executor)
    def an_hour() -> None:
        follow()

    home = Path(configured(folder)["DAGSTER_HOME"])
    with chdir(home), dg.DagsterInstance.from_config(str(home)) as instance:
        empty = history_bytes(instance)
        for _ in range(hours):
            an_hour.execute_in_process(instance=instance, run_config=QUIET)
        before = history_bytes(instance)
        purged = purge(instance, before=datetime.now(UTC) + timedelta(seconds=1))
        after = history_bytes(instance)
    return {
        "partitions": len(changes), "events_per_hour": TELLINGS * (len(changes) + len(DESCRIPTIONS)),
        "mb_per_hour": round((before - empty) / hours / 1e6, 2), "mb_before": round(before / 1e6, 2),
        "mb_after": round(after / 1e6, 2), "runs_deleted": purged.deleted, "runs_kept": purged.kept,
    }  # fmt: skip


def tell(
    context: dg.OpExecutionContext, lake: Lake, changes: Sequence[Change], archives: Mapping[str, Archive]
) -> None:
    """Log an event of every partition."""
    for channel in DESCRIPTIONS:
        shown = of_date(list(archives.values()), channel, DAY)
        context.log_event(dg.AssetMaterialization(bronze_key(channel), partition=DAY, metadata=shown))
    for change in changes:
        context.log_event(of_realtime(lake, change, archives["ccxt"]))


def judge(
    context: dg.OpExecutionContext,
    lake: Lake,
    config: Config,
    changes: Sequence[Change],
    archives: Mapping[str, Archive],
) -> None:
    """Log the verdicts of all checks, a few partitions at a time."""
    for dataset in dict.fromkeys(change.dataset for change in changes):
        places = [change.place for change in changes if change.dataset == dataset]
        for start in range(0, len(places), JUDGED_AT_ONCE):
            for verdict in evaluations(lake, config, dataset, places[start : start + JUDGED_AT_ONCE], archives):
                context.log_event(verdict)


if __name__ == "__main__":
    main()
