"""What Dagster's command line refuses, with this repository's profile. What it does: `docs/test_readme.py`."""

import json
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import dagster as dg
import pytest
import yaml
from support.market import DAY, INSTRUMENTS, records, seal

from fluxforge_assets.defs.partitions import register, today
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.update import update

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
BTC = f"{DAY}|binanceus:BTC-USDT"
BOTH = ("--select", "silver/orderbook,gold/bars")
DEADLINE_SECONDS = 240


@pytest.fixture
def home(tmp_path, lake, config):
    """A Dagster home with the repository's profile that knows an instrument, and the environment of its commands."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(json.loads(config.model_dump_json())))
    with chdir(folder), dg.DagsterInstance.from_config(str(folder)) as instance:
        register(instance, {"binanceus:BTC-USDT"})
    return {**os.environ, "DAGSTER_HOME": str(folder), "FLUXFORGE_CONFIG": str(file), "PYTHONWARNINGS": "ignore"}


def test_what_cannot_be_meant_is_refused_and_changes_nothing(lake, config, home):
    """An asset; a range's instrument and a date in the future, each in the last line; the home stays clean."""
    seal(lake.root, records(1, seconds=20, instruments=INSTRUMENTS[:1]))
    land(lake, "ccxt")
    assert list(update(lake, config, "ccxt", DAY))
    kept = {path: path.stat().st_ino for path in (lake.root / "processed").rglob("*.parquet")}
    for asked, last in (
        (["--select", "gold/bar", "--partition", BTC], '["gold", "bars"]'),
        (
            [*BOTH, "--partition-range", f"{BTC}...{DAY}|binanceus:BTC-USD"],
            (
                f"Error: partition '{DAY}|binanceus:BTC-USD': there is no instrument 'binanceus:BTC-USD' in the lake"
                " — did you mean binanceus:BTC-USDT?"
            ),
        ),
        (
            ["--select", "group:bronze", "--partition", "2099-01-01"],
            f"Error: partition '2099-01-01': 2099-01-01 has not begun — today is {today()} (UTC)",
        ),
    ):
        done = subprocess.run(
            [str(BIN / "dagster"), "asset", "materialize", "-m", "fluxforge_assets.definitions", *asked],
            cwd=home["DAGSTER_HOME"], env=home, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        said = (done.stdout + done.stderr).strip().splitlines()
        assert said[-1].strip() == last
        assert last.startswith("Error: ") == (len(said) == 1)
    assert kept == {path: path.stat().st_ino for path in (lake.root / "processed").rglob("*.parquet")}
    assert {path.name for path in Path(home["DAGSTER_HOME"]).iterdir()} == {"dagster.yaml", ".dagster"}
