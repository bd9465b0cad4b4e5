"""The README's commands, run in order as they stand there, over a lake with a few seconds of a market in it."""

import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from support.market import INSTRUMENTS, records, seal

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    line.partition("   #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]
ELSEWHERE = ("make ", "export ", ".venv/bin/fluxforge collect", ".venv/bin/dagster dev")
"""`dagster dev` as it stands there is started by `end_to_end/test_configuration_change.py`."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A directory that looks like a checkout after `make demo`, with a lake of its own."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fluxforge.example.yaml", "workspace.yaml", "dagster.yaml"):
        (folder / name).write_text((ROOT / name).read_text())
    (folder / ".venv").symlink_to(ROOT / ".venv")
    seal(folder / "lake", records(1, seconds=30, instruments=INSTRUMENTS[:2]))
    return folder


@pytest.fixture(scope="module")
def environment(checkout):
    """What `export DAGSTER_HOME=$PWD` sets, and nothing of this machine's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FLUXFORGE")}
    return {**kept, "DAGSTER_HOME": str(checkout), "PYTHONWARNINGS": "ignore"}


def test_every_command_of_the_readme_runs(checkout, environment):
    ran = [command for command in COMMANDS if not command.startswith(ELSEWHERE)]
    assert len(ran) >= 10
    for command in ran:
        done = subprocess.run(
            command, shell=True, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
        if " query " in command and "--out" not in command:
            assert "BTC-USDT" in done.stdout or "," in done.stdout, command
    assert pl.read_parquet(checkout / "silver.parquet").height > 5
    bars = pl.read_parquet(f"{checkout}/lake/processed/*/orderbook/bars/**/*.parquet")
    assert set(bars["symbol"]) == {"BTC-USDT", "ETH-USDT"}
