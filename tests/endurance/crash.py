"""The collector killed again and again: nothing that was flushed is lost or doubled, and every segment can be read.

    python -m endurance.crash --lives 100 [--seed N]

Each life is the whole collector on simulated exchanges, ended by `kill -9`: half of them at a random moment, half just
before a random change of the lake's names, which may be one of recovery, of a seal, a rename or a manifest. Before the
next life every row that can be read in journals and sealed files is noted; at the end all must be there, once. Prints
the seed and one line; exits 1 where a promise is broken.
"""

import argparse
import json
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from support.death import Death

from fluxforge_collector.cli import main as fluxforge
from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import SourcePaths

CHANNELS = ("orderbook", "trades", "ticker", "gaps")
SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
LONGEST_S = 4.0  # of a life
PATIENCE_S = 60
MOST_CHANGES = 150  # of the lake's names in a life
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["fluxforge_collector.service"])


def main() -> int:
    """Kill, compare, print, and say by the exit code whether every promise was kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = crash(Path(folder), asked.lives, random.Random(asked.seed))
    print(json.dumps(report))
    print(
        f"{asked.lives} lives, seed {asked.seed}: {report['killed']} killed, {report['noted']:,} rows noted, "
        f"{report['lost']} lost, {report['doubled']} doubled, {report['segments']} segments all readable, "
        f"{report['left_over']} files left over"
    )
    return 1 if report["lost"] or report["doubled"] or report["left_over"] or not report["noted"] else 0


def crash(folder: Path, lives: int, rng: random.Random) -> dict:
    """Live so often, then once in order; what became of every row that was ever noted."""
    root = folder / "lake"
    paths = SourcePaths(root, "ccxt")
    command = [Path(sys.executable).with_name("fluxforge"), "exchange", "--port", "0", "--json", "--speed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as exchange:
        try:
            url = json.loads(exchange.stdout.readline())["url"]
            threading.Thread(target=lambda: deque(exchange.stdout, maxlen=0), daemon=True).start()
            config = configured(folder, root, url)
            noted: set[tuple] = set()
            killed = 0
            for _ in range(lives):
                killed += live(config, paths, rng)
                noted |= journaled(paths) | sealed(paths).keys()
            ended = PROCESSES.Process(target=fluxforge, args=(["collect", "--config", str(config), "--seconds", "2"],))
            ended.start()
            ended.join()
            assert ended.exitcode == 0, "the last life, which ends in order, has failed"
        finally:
            exchange.kill()
    rows, manifests = sealed(paths), sorted(paths.ready_dir.glob("segment_*.json"))
    for manifest in manifests:
        verify(read_manifest(manifest), paths.ready_dir)
    return {
        "killed": killed,
        "noted": len(noted),
        "lost": len(noted - rows.keys()),
        "doubled": sum(count > 1 for count in rows.values()),
        "rows": rows.total(),
        "segments": len(manifests),
        "left_over": len(list(root.glob("raw/active/**/*.arrow")) + list(root.glob("raw/ready/**/.*.tmp"))),
    }


def configured(folder: Path, root: Path, url: str) -> Path:
    """A collector that flushes and seals all the time, so that a death meets it at it."""
    file = folder / "fluxforge.yaml"
    values = {
        "lake": {"root": str(root)},
        "metrics": {"enabled": False},
        "log_level": "error",
        "ingestion": {"segment_max_seconds": 1, "flush_interval_seconds": 0.1},
        "exchanges": {name: {"symbols": SYMBOLS, "base_url": url} for name in ("binanceus", "okx")},
    }
    file.write_text(yaml.safe_dump(values))
    return file


def live(config: Path, paths: SourcePaths, rng: random.Random) -> bool:
    """One life, and whether it was ended by a kill."""
    kill_at = rng.randrange(1, MOST_CHANGES) if rng.random() < 0.5 else None
    known = set(paths.active_dir.glob("gaps/*.arrow"))
    process = PROCESSES.Process(target=doomed, args=(str(config), str(paths.root), kill_at))
    process.start()
    deadline = time.monotonic() + PATIENCE_S
    if kill_at is None:
        # a life begins with its first journal; then the moment of death itself, which is no wait for anything
        while process.is_alive() and not set(paths.active_dir.glob("gaps/*.arrow")) - known:
            assert time.monotonic() < deadline, "the collector does not begin"
            time.sleep(0.02)
        time.sleep(rng.uniform(0, LONGEST_S))
    else:
        process.join(PATIENCE_S)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def doomed(config: str, root: str, kill_at: int | None) -> None:
    """Collect until death."""
    sys.addaudithook(Death(Path(root), kill_at))
    fluxforge(["collect", "--config", config])


def journaled(paths: SourcePaths) -> set[tuple]:
    """What stands in whole batches of journals, read by pyarrow alone."""
    found: set[tuple] = set()
    for channel in CHANNELS:
        for file in paths.active_dir.glob(f"{channel}/*.arrow"):
            try:
                with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
                    for batch in stream:
                        found |= set(identities(channel, pa.table(batch)))
            except (OSError, pa.ArrowException):
                continue  # torn by the death: what came before is noted
    return found


def sealed(paths: SourcePaths) -> Counter:
    """Every row of every committed segment, and how often it is there."""
    found: Counter = Counter()
    for file in paths.ready_dir.glob("segment_*.json"):
        manifest = read_manifest(file)
        for channel, entry in manifest.channels.items():
            if entry.file:
                found.update(
                    identities(channel, pq.read_table(paths.ready_file(channel, manifest.id), partitioning=None))
                )
    return found


def identities(channel: str, table: pa.Table) -> list[tuple]:
    """What tells a row from every other of any life."""
    time = "gap_end" if channel == "gaps" else "capture_ts"
    columns = [table[name].cast(pa.string()).to_pylist() for name in ("exchange", "symbol")]
    times, seq = table[time].cast(pa.int64()).to_pylist(), table["seq"].to_pylist()
    extra = table["channel"].cast(pa.string()).to_pylist() if channel == "gaps" else [channel] * len(table)
    return [(channel, *row) for row in zip(*columns, extra, times, seq, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
