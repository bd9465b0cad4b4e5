"""The demo as its user starts it: real exchange process, real collector, real Dagster daemon, bars at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

FLUXFORGE = Path(sys.executable).parent / "fluxforge"
INSTRUMENTS = ["binanceus:BTC-USDT", "binanceus:ETH-USDT", "binanceus:SOL-USDT", "okx:BTC-USDT", "okx:ETH-USDT"]

pytestmark = pytest.mark.timeout(400)


def left_behind(root):
    """Processes that read the demo's configuration, other than this one."""
    marker = str(root).encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if marker in environment.read_bytes() and "Z" not in (environment.parent / "stat").read_text().split()[2:3]:
                found.append((environment.parent / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def torn(root):
    """Files of the lake that are not whole: journals left open, or hidden temporary names."""
    lake = root / "lake"
    return [*lake.glob("raw/active/*/*/segment_*"), *lake.glob("raw/ready/**/.*"), *lake.glob("processed/**/.*")]


def bars_of(root):
    files = root.glob("lake/processed/ccxt/orderbook/bars/**/part-*.parquet")
    return pl.concat(
        [pl.read_parquet(f, hive_partitioning=False, columns=["exchange", "symbol", "ts", "bar_us"]) for f in files]
    )


def test_the_demo_ends_with_bars_and_goes_on_over_the_same_root(tmp_path):
    """Two runs over one root: the first stops by itself, the second by SIGINT, started in the background; nothing is lost, doubled or left."""
    root = tmp_path / "demo"
    arguments = [FLUXFORGE, "demo", "--root", root, "--headless", "--json"]
    first = subprocess.run([*arguments, "--seconds", "45"], capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr[-2000:]
    report = json.loads(first.stdout.splitlines()[-1])
    assert report["frames_unaccounted"] == 0
    assert report["frames_sent"] > 500
    assert report["instruments"] == INSTRUMENTS
    assert report["gaps"] == 0
    assert report["silver_rows"] > 0
    assert report["first_bar_seconds"] is not None
    assert not left_behind(root)
    assert not torn(root)

    before = bars_of(root)
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *arguments]
    with subprocess.Popen(in_background, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as second:
        deadline = time.monotonic() + 150
        while bars_of(root).height <= before.height and time.monotonic() < deadline:
            time.sleep(0.5)
        os.kill(second.pid, signal.SIGINT)
        output, _ = second.communicate(timeout=120)
    again = json.loads(output.splitlines()[-1])
    assert second.returncode == 0
    assert again["frames_unaccounted"] == 0
    assert again["bronze_rows"] > report["bronze_rows"]
    assert again["gaps"] > 0, "the time between the runs is in the gap ledger"
    assert not left_behind(root)
    assert not torn(root)
    bars = bars_of(root)
    assert bars.height > before.height
    assert not bars.is_duplicated().any()


def test_a_root_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = subprocess.run([FLUXFORGE, "demo", "--root", tmp_path / "file"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    assert "--root" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_capture_stops_the_demo_with_its_reason(tmp_path):
    arguments = ["--root", tmp_path / "demo", "--capture", tmp_path / "none.gz", "--headless", "--seconds", "20"]
    done = subprocess.run([FLUXFORGE, "demo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "none.gz" in done.stderr
    assert "Traceback" not in done.stderr
    assert not left_behind(tmp_path / "demo")
