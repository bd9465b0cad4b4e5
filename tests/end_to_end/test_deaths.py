"""The code server, the daemon and a run are killed, and started again: real time goes on by itself, every row is once.

What is killed are the processes of the lean profile, while a real-time run stays. In `make long`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from support.market import DAY, INSTRUMENTS, config_of, deliver, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import waiting
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import places_of, recipe_of
from fluxforge_collector.config.load import load_config

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 300
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Lean:
    """A home with the lean profile over a lake, its processes, and a market that is delivered to it bit by bit."""

    def __init__(self, folder):
        self.folder, self.home, self.lake = folder, folder / "home", Lake(folder / "lake")
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home)
        (folder / "fluxforge.yaml").write_text(yaml.safe_dump(json.loads(config_of(self.lake.root).model_dump_json())))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        text = (ROOT / "workspace.server.yaml").read_text().replace("4266", self.port)
        (self.home / "workspace.yaml").write_text(text)
        own = {
            "DAGSTER_HOME": str(self.home),
            "FLUXFORGE_CONFIG": str(folder / "fluxforge.yaml"),
            "PYTHONWARNINGS": "ignore",
        }
        self.environment = {**os.environ, **own}
        self.commands = {
            "code": ["dagster", "api", "grpc", "-m", "fluxforge_assets.definitions", "-h", "127.0.0.1", "-p", self.port],
            "daemon": ["dagster-daemon", "run", "-w", "workspace.yaml"],
        }  # fmt: skip
        self.started, self.processes = [], {}
        self.manifests = seal(folder / "staging", records(3, seconds=120, instruments=INSTRUMENTS[:2]))
        self.delivered = 0

    def start(self, *names):
        for name in names:
            program, *arguments = self.commands[name]
            with (self.home / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [BIN / program, *arguments],
                    cwd=self.home, env=self.environment, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self.started.append(self.processes[name])

    def kill(self, *names, with_runs):
        """Kill as the kernel does; a unit's or container's end takes its runs along."""
        for name in names:
            (os.killpg if with_runs else os.kill)(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait()

    def deliver(self, count):
        deliver(self.folder / "staging", self.lake.root, self.manifests[self.delivered :][:count])
        self.delivered += count

    def signs(self):
        return list(self.home.glob(".dagster/storage/*/alive"))

    def is_done(self):
        known = marks(self.lake)
        return bool(known) and not waiting(self.lake, "ccxt") and not any(mark.is_dirty for mark in known)

    def wait_until_done(self):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not self.is_done():
            logs = "\n".join((self.home / f"{name}.log").read_text()[-2000:] for name in self.processes)
            assert time.monotonic() < deadline, logs
            time.sleep(0.5)


@pytest.fixture
def lean(tmp_path):
    """The lean profile, whose real-time run stays."""
    made = Lean(tmp_path)
    made.deliver(2)
    made.start("code", "daemon")
    try:
        made.wait_until_done()
        yield made
    finally:
        for process in made.started:  # and the runs, which are of the code server's group and may outlive it
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_code_server_alone_and_its_runs_go_on(lean):
    lean.kill("code", with_runs=False)
    lean.deliver(2)
    lean.wait_until_done()
    lean.start("code")
    every_row_is_once(lean)


def test_the_code_server_and_its_runs(lean):
    lean.kill("code", with_runs=True)
    lean.deliver(2)
    lean.start("code")
    every_row_is_once(lean)


def test_everything_and_the_sign_is_gone(lean):
    """As of a container that is made anew: nobody can tell who had the run, and it must end all the same."""
    lean.deliver(4)
    lean.kill("code", "daemon", with_runs=True)
    for sign in lean.signs():
        sign.unlink()
    lean.start("daemon", "code")
    every_row_is_once(lean)


def every_row_is_once(lean):
    """What is still to come is computed too; all of it is what one computation gives."""
    lean.wait_until_done()
    lean.deliver(len(lean.manifests))
    lean.wait_until_done()
    config = load_config(lean.folder / "fluxforge.yaml")
    places = places_of(lean.lake, "ccxt", DAY)
    assert len(places) == 2
    for place in places:
        for dataset in STORED:
            for name, check in CHECKS[dataset].items():
                verdict = check(Stored(lean.lake, config, dataset, place))
                assert verdict.is_passed, (name, place, verdict.detail)
            found = table(lean.lake, place, dataset)
            replace(lean.lake, recipe_of(dataset.asset, lean.lake, config, "ccxt"), place)
            assert_frame_equal(found, table(lean.lake, place, dataset))


def table(lake, place, dataset):
    return pl.read_parquet(f"{lake.partition(place, dataset.folder)}/*.parquet")
