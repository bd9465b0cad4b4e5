"""Dagster as a user starts it: its command line, its daemon, this repository's workspace and profile."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from support.market import DAY, INSTRUMENTS, config_of, deliver, records, seal

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
BTC, ETH = f"{DAY}|binanceus:BTC-USDT", f"{DAY}|binanceus:ETH-USDT"
DEADLINE_SECONDS = 240


@pytest.fixture
def home(tmp_path, lake):
    """A Dagster home with the repository's profile, and the environment of its commands."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(json.loads(config_of(lake.root).model_dump_json())))
    return {**os.environ, "DAGSTER_HOME": str(folder), "FLUXFORGE_CONFIG": str(file), "PYTHONWARNINGS": "ignore"}


def dagster(home, *arguments):
    """Run a command where the profile is; its code, and what it printed."""
    done = subprocess.run(
        [str(BIN / "dagster"), *arguments],
        cwd=home["DAGSTER_HOME"], env=home, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def bars(lake):
    files = list((lake.root / "processed").glob("*/orderbook/bars/*/*/*/part-*.parquet"))
    return pl.read_parquet(files) if files else pl.DataFrame()


def test_list_and_materialise_from_the_command_line(lake, home):
    seal(lake.root, records(1, seconds=20, instruments=INSTRUMENTS[:2]))
    module = ("-m", "fluxforge_assets.definitions")
    code, said = dagster(home, "asset", "list", *module)
    assert code == 0, said
    assert {"bronze/trades", "silver/orderbook", "gold/bars"} <= set(said.split())

    code, said = dagster(home, "asset", "materialize", *module, "--select", "group:bronze", "--partition", DAY)
    assert code == 0, said
    select = ("--select", "silver/orderbook,gold/bars")
    code, said = dagster(home, "asset", "materialize", *module, *select, "--partition", BTC)
    assert code == 0, said
    assert set(bars(lake)["symbol"]) == {"BTC-USDT"}
    code, said = dagster(home, "asset", "materialize", *module, *select, "--partition-range", f"{BTC}...{ETH}")
    assert code == 0, said
    assert set(bars(lake)["symbol"]) == {"BTC-USDT", "ETH-USDT"}

    code, said = dagster(home, "asset", "materialize", *module, *select, "--partition", f"{DAY}|binanceus:NO-SUCH")
    assert code != 0
    assert "NO-SUCH" in said
    assert not [path for path in Path(home["DAGSTER_HOME"]).iterdir() if path.name not in {"dagster.yaml", ".dagster"}]


def test_the_daemon_turns_segments_into_bars(tmp_path, lake, home):
    """Sensor, queue and run launcher as they are deployed; more segments bring more bars."""
    manifests = seal(tmp_path / "staging", records(2, seconds=30, instruments=INSTRUMENTS[:2]))
    deliver(tmp_path / "staging", lake.root, manifests[:2])
    code, said = dagster(home, "instance", "info")
    assert code == 0, said
    log = (tmp_path / "daemon.log").open("w")
    daemon = subprocess.Popen(
        [str(BIN / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
        cwd=home["DAGSTER_HOME"], env=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: bars(lake).height > 0, daemon, tmp_path / "daemon.log")
        first = bars(lake).height
        deliver(tmp_path / "staging", lake.root, manifests[2:])
        wait_for(lambda: bars(lake).height > first, daemon, tmp_path / "daemon.log")
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(30)
        finally:
            log.close()
            if daemon.poll() is None or group_lives(daemon.pid):
                os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()


def group_lives(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(ready, process, log):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not ready():
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.5)
