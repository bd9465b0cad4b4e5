"""Figures of the real-time path: 50 instruments, a segment a minute, from ready to bars that can be queried.

`python tests/bench/bench_realtime.py [--minutes 5] [--passed 1380] [--stages-only | --end-to-end-only]` prints what each stage
costs in this process, then what the real daemon needs from end to end, and as its last line JSON; `--passed` as if so many
minutes of the day had gone by before. Figures in seconds depend on the machine.
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import numpy as np
from generated import generate
from passed_day import repeat_minute
from processes import cpu_seconds, home_of, lean, memory_mb

from fluxforge_assets.kernels.warm import warm
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import GOLD_BARS
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.update import KEEP_BYTES, update
from fluxforge_collector.config.load import load_config
from fluxforge_collector.config.model import Config, Ingestion
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import BookRecord, TickerRecord, TradeRecord
from fluxforge_collector.segments.manifest import Manifest
from fluxforge_collector.segments.names import SourcePaths, date_of
from fluxforge_collector.segments.writer import SegmentWriter

MINUTE_US = 60_000_000
BOOKS_PER_S = 10.0
WARM_MINUTES = 3
CONFIG = """lake: {{root: {root}}}
etl: {{min_run_interval_seconds: 5, start_date: '{date}'}}
"""


class HandClock:
    """A clock turned by hand."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def wall_us(self) -> int:
        return self.now_us

    capture_us = wall_us

    def monotonic(self) -> float:
        return self.now_us / 1e6

    def step_us(self) -> int:
        return 0

    def anchor(self) -> None:
        """Nothing drifts."""


def main() -> None:
    """Measure, print, end with JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--instruments", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--passed", type=int, default=0)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--stages-only", action="store_true")
    only.add_argument("--end-to-end-only", action="store_true")
    asked = parser.parse_args()
    found: dict[str, object] = {"bench": "realtime", "instruments": asked.instruments, "passed": asked.passed}
    if not asked.end_to_end_only:
        with tempfile.TemporaryDirectory() as folder:
            found["stages"] = stages(Path(folder), asked.instruments, asked.minutes, asked.passed)
    if not asked.stages_only:
        with tempfile.TemporaryDirectory() as folder:
            found["end_to_end"] = end_to_end(Path(folder), asked.instruments, asked.minutes)
    print(json.dumps(found))


def seal(root: Path, start_us: int, minutes: int, instruments: int) -> list[Manifest]:
    """Seal a generated market into a segment a minute, in a staging lake."""
    clock = HandClock(start_us)
    writer = SegmentWriter(root, "ccxt", Ingestion(collector="bench", segment_max_seconds=60), clock)
    columns = [records(number, start_us, minutes) for number in range(instruments)]
    manifests = []
    for minute in range(minutes):
        until_us = start_us + (minute + 1) * MINUTE_US
        batch = [record for column in columns for record in column[minute]]
        batch.sort(key=lambda record: record.capture_us)
        writer.append(record._replace(seq=seq) for seq, record in enumerate(batch))
        clock.now_us = until_us
        manifests.append(writer.rotate())
    return manifests


def records(number: int, start_us: int, minutes: int) -> list[list[BookRecord | TradeRecord | TickerRecord]]:
    """The records of one instrument, by minute."""
    book, trades = generate(int(minutes * 60 * BOOKS_PER_S * 1.2), number, events_per_s=BOOKS_PER_S)
    shift = start_us - book["capture_ts"][0].value
    who = ("bench", f"C{number:02}/USD")
    times = np.asarray(book["capture_ts"]).astype("int64") + shift
    levels = [_flat(book[name]) for name in ("bids", "asks")]
    made: list[list[BookRecord | TradeRecord | TickerRecord]] = [[] for _ in range(minutes)]

    def keep(record: BookRecord | TradeRecord | TickerRecord) -> None:
        minute = (record.capture_us - start_us) // MINUTE_US
        if minute < minutes:
            made[minute].append(record)

    blank = dict.fromkeys(TickerRecord._fields)
    for row, now in enumerate(times.tolist()):
        bids, asks = levels[0][row], levels[1][row]
        keep(BookRecord(*who, now // 1000, now, now // 1000 - 9, row, bids, asks, 0, 0))
        if row % 10 == 0:
            said = {"exchange": who[0], "symbol": who[1], "collected_ms": now // 1000, "capture_us": now}
            keep(
                TickerRecord(**{**blank, **said, "bid": bids[0], "ask": asks[0], "last": bids[0], "seq": 0, "conn": 0})
            )
    for trade in trades.drop(["capture_ts"]).to_pylist():
        now = trade["collected_at"] * 1000 + shift
        keep(TradeRecord(*who, now // 1000, now, trade["trade_id"], now // 1000 - 9, trade["side"], trade["price"],
                         trade["amount"], trade["cost"], None, 0, 0, backfilled=False))  # fmt: skip
    return made


def _flat(column) -> list[list[float]]:
    """Price and size by turns, for each row."""
    flat = column.combine_chunks().flatten()
    pairs = np.column_stack([np.asarray(flat.field(0)), np.asarray(flat.field(1))])
    return pairs.reshape(len(column), -1).tolist()


def deliver(staging: Path, root: Path, manifest: Manifest) -> None:
    """Publish a segment as a collector does: files first, its manifest last."""
    away, here = SourcePaths(staging, "ccxt"), SourcePaths(root, "ccxt")
    for channel, entry in manifest.channels.items():
        if entry.file:
            here.ready_file(channel, manifest.id).parent.mkdir(parents=True, exist_ok=True)
            away.ready_file(channel, manifest.id).rename(here.ready_file(channel, manifest.id))
    away.ready_manifest(manifest.id).rename(here.ready_manifest(manifest.id))


def configured(root: Path, date: str) -> tuple[Path, Config]:
    """A configuration with the default features."""
    path = root / "fluxforge.yaml"
    path.write_text(CONFIG.format(root=root / "lake", date=date))
    return path, load_config(path)


def stages(folder: Path, instruments: int, minutes: int, passed: int) -> dict[str, dict[str, float]]:
    """CPU and wall seconds of each stage for one minute of all instruments, medians."""
    start_us = int(time.time()) // 86_400 * 86_400_000_000 + passed * MINUTE_US
    date = date_of(start_us)
    _, config = configured(folder, date)
    lake = Lake(folder / "lake")
    archive = Archive(lake, "ccxt", keep_bytes=KEEP_BYTES)  # stays from minute to minute, as in the real-time job
    warm()
    manifests = seal(folder / "staging", start_us, WARM_MINUTES + minutes, instruments)
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for minute, manifest in enumerate(manifests):
        deliver(folder / "staging", lake.root, manifest)
        taken = _one_minute(lake, config, date, archive)
        if minute == 0:
            repeat_minute(lake, config, manifest, passed)
        for name, pair in taken.items() if minute >= WARM_MINUTES else ():
            spent[name].append(pair)
    found = {
        name: {"cpu_s": median(cpu for cpu, _ in pairs), "wall_s": median(wall for _, wall in pairs)}
        for name, pairs in spent.items()
    }
    print(f"{'stage':24} {'CPU s':>8} {'wall s':>8}   one minute of {instruments} instruments")
    for name, figures in found.items():
        print(f"{name:24} {figures['cpu_s']:8.2f} {figures['wall_s']:8.2f}")
    return found


def _one_minute(lake: Lake, config: Config, date: str, archive: Archive) -> dict[str, tuple[float, float]]:
    taken: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    began = at = (time.process_time(), time.monotonic())

    def lap(name: str) -> None:
        nonlocal at
        now = (time.process_time(), time.monotonic())
        taken[name] = (taken[name][0] + now[0] - at[0], taken[name][1] + now[1] - at[1])
        at = now

    assert land(lake, "ccxt", [date]).manifests
    archive.look_again()
    lap("landing")
    for outcome in update(lake, config, "ccxt", date, archive):
        assert isinstance(outcome, Change), outcome
        lap(outcome.dataset.asset)
    lap("rest")
    taken["all"] = (time.process_time() - began[0], time.monotonic() - began[1])
    return taken


def end_to_end(folder: Path, instruments: int, minutes: int) -> dict[str, object]:
    """Seconds from a segment's publication until all its bars are in the lake, through the daemon."""
    now_us = int(time.time() * 1e6)
    start_us = now_us - now_us % MINUTE_US
    path, _ = configured(folder, date_of(start_us))
    lake = Lake(folder / "lake")
    manifests = seal(folder / "staging", start_us, WARM_MINUTES + minutes, instruments)
    environment = home_of(folder, path)
    home = Path(environment["DAGSTER_HOME"])
    seconds: list[float] = []
    with lean(environment) as processes:
        while not (home / ".dagster" / "storage" / "history" / "runs.db").exists():
            time.sleep(0.5)
        for manifest in manifests:
            deliver(folder / "staging", lake.root, manifest)
            ready = time.monotonic()
            _wait_for_bars(lake, manifest, instruments)
            seconds.append(time.monotonic() - ready)
            print(f"  {seconds[-1]:.1f} s")
            time.sleep(max(0.0, 60 - (time.monotonic() - ready)) if len(seconds) < len(manifests) else 0)
        used, memory = cpu_seconds(processes), memory_mb(processes)
    steady = sorted(seconds[WARM_MINUTES:])
    shown = {
        "p50_s": round(median(steady), 2),
        "p95_s": round(steady[min(len(steady) - 1, round(0.95 * len(steady)))], 2),
        "first_s": round(seconds[0], 2),
        "segments": len(steady),
        "load_average": round(os.getloadavg()[1], 1),
        "cpu_s_per_minute": round(used / len(seconds), 2),
        **memory,
        "history_bytes": _history_bytes(home),
    }
    print("segment ready to bars queryable:", shown)
    return shown


def _wait_for_bars(lake: Lake, manifest: Manifest, instruments: int) -> None:
    until_us = manifest.to_us // 1_000_000 * 1_000_000
    waiting = {
        lake.partition(Place("ccxt", Instrument("bench", f"C{i:02}/USD"), date_of(manifest.from_us)), GOLD_BARS.folder)
        for i in range(instruments)
    }
    deadline = time.monotonic() + 240
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} of {instruments} instruments have no bars yet"
        waiting = {d for d in waiting if max((p.to_us for p in parts_of(d)), default=0) < until_us}
        time.sleep(0.1)


def _history_bytes(home: Path) -> int:
    return sum(path.stat().st_size for path in (home / ".dagster" / "storage").rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
