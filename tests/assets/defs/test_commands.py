"""Dagster's command line as a user types it, with this repository's profile. The daemon: `end_to_end/test_hour.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from support.market import DAY, INSTRUMENTS, config_of, records, seal

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


def test_list_materialise_and_be_refused_from_the_command_line(lake, home):
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

    kept = {path: path.stat().st_ino for path in (lake.root / "processed").rglob("*.parquet")}
    for asked, named in (
        (["--select", "gold/bar", "--partition", BTC], 'did you mean one of the following?\n\t["gold", "bars"]'),
        ([*select, "--partition", f"{DAY}|binanceus:NO-SUCH"], "NO-SUCH"),
        ([*select, "--partition", DAY], f"containing the passed partition key `{DAY}`"),
        ([*select, "--partition", "2099-01-01|binanceus:BTC-USDT"], "2099-01-01"),
    ):
        code, said = dagster(home, "asset", "materialize", *module, *asked)
        assert code != 0
        assert named in said
    assert kept == {path: path.stat().st_ino for path in (lake.root / "processed").rglob("*.parquet")}
    assert not [path for path in Path(home["DAGSTER_HOME"]).iterdir() if path.name not in {"dagster.yaml", ".dagster"}]
