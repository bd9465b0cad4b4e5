import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from support.fault_proxy import FaultProxy
from support.market import config_of

from fluxforge_assets.lake.paths import Lake


@pytest.fixture
def lake(tmp_path):
    """An empty lake."""
    return Lake(tmp_path / "lake")


@pytest.fixture
def proxy(s3_server):
    """A way to the store that breaks on command."""
    made = FaultProxy(s3_server.port)
    yield made
    made.stop()


@pytest.fixture
def config(lake):
    """The configuration of the lake."""
    return config_of(lake.root)


@pytest.fixture
def stored(lake):
    """Reads a partition as anybody would."""

    def read(place, folder):
        directory = lake.partition(place, folder)
        return pl.read_parquet(f"{directory}/*.parquet") if directory.exists() else None

    return read


@pytest.fixture
def lives():
    """Lives of some upkeep (`compact`, `convert` or `repair`), one after another: how each ended, and what it said."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("upkeep_victim.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )

    def live(what, root, kill_at=None):
        process.stdin.write(json.dumps({"root": str(root), "kill_at": kill_at, "what": what}) + "\n")
        process.stdin.flush()
        said = {}
        while "ended" not in said:
            said |= json.loads(process.stdout.readline())
        return said

    yield live
    process.stdin.close()
    process.wait(10)
    process.stdout.close()
