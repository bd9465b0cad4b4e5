"""The command that backfills what a change of configuration made stale: what it says, refuses and queues.

What daemon and webserver make of it: `end_to_end/test_configuration_change.py`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from support.market import DAY, INSTRUMENTS, config_of, records, seal

from fluxforge_assets.cli.backfill import command
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.update import update
from fluxforge_collector.errors import FluxForgeError

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
]
ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
BTC, ETH = "binanceus:BTC-USDT", "binanceus:ETH-USDT"
DEADLINE_SECONDS = 240
CHANGED = {"horizons": [1, 10], "bar_durations": [1, 5, 10, 60]}


@pytest.fixture
def home(tmp_path, lake):
    """The environment of a user: a Dagster home with the repository's profile, and a configuration."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(folder),
        "FLUXFORGE_CONFIG": str(tmp_path / "fluxforge.yaml"),
        "PYTHONWARNINGS": "ignore",
    }
    configure(environment, lake)
    return environment


def configure(home, lake, **options):
    config = json.loads(config_of(lake.root, **options).model_dump_json())
    Path(home["FLUXFORGE_CONFIG"]).write_text(yaml.safe_dump(config))


def fluxforge(home, *arguments):
    """Run the command where Dagster's profile is; its code, and what it printed."""
    done = subprocess.run(
        [str(BIN / "fluxforge"), *arguments],
        cwd=home["DAGSTER_HOME"], env=home, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def fill(lake, config):
    seal(lake.root, records(1, seconds=20, instruments=INSTRUMENTS[:2]))
    land(lake, "ccxt")
    assert list(update(lake, config, "ccxt", DAY))


def opened(home):
    return dg.DagsterInstance.from_config(home["DAGSTER_HOME"])


@pytest.fixture
def here(home, monkeypatch):
    """This process stands where the user does."""
    monkeypatch.chdir(home["DAGSTER_HOME"])
    for name in ("DAGSTER_HOME", "FLUXFORGE_CONFIG"):
        monkeypatch.setenv(name, home[name])


@pytest.fixture
def queued(home, here):
    """Reads the backfills of the home's instance."""

    def read():
        with opened(home) as instance:
            return {backfill.backfill_id: backfill for backfill in instance.get_backfills()}

    return read


def test_the_command_queues_exactly_what_is_stale(lake, config, home, queued):
    fill(lake, config)
    code, said = fluxforge(home, "backfill", "--stale")
    assert (code, said.strip()) == (0, "nothing to compute again")
    configure(home, lake, **CHANGED)
    code, said = fluxforge(home, "backfill", "--stale", "--asset", "gold/bars", "--instrument", BTC, "--json")
    assert code == 0, said
    plan = json.loads(said)
    # bars are made from silver, which is stale too and goes before them
    assert plan["batches"] == [{"assets": ["silver/orderbook", "gold/bars"], "partitions": [f"{DAY}|{BTC}"]}]
    assert plan["launched"] == []
    assert queued() == {}

    code, said = fluxforge(home, "backfill", "--stale", "--launch")
    assert code == 0, said
    assert "launched 1 backfill" in said
    assert "no Dagster daemon is running" in said
    (backfill,) = queued().values()
    assert backfill.status.value == "REQUESTED"
    assert backfill.title == f"silver/orderbook, gold/bars; {DAY}; 2 instruments"
    target = backfill.asset_backfill_data.target_subset
    for name in ("silver/orderbook", "gold/bars"):
        subset = target.get_asset_subset(dg.AssetKey(name.split("/")))
        assert set(subset.subset_value.get_partition_keys()) == {f"{DAY}|{BTC}", f"{DAY}|{ETH}"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to compute again — give --stale or --all"),
        (["--stale", "--all"], "give --stale or --all, and not both"),
        (["--stale", "--asset", "gold/bar"], "did you mean gold/bars?"),
        (["--stale", "--instrument", "binanceus:BTC-USD"], "did you mean binanceus:BTC-USDT"),
        (["--stale", "--instrument", "binanceus:BTC/USD"], "did you mean binanceus:BTC-USDT"),
        (["--stale", "--from", "20 November"], "'20 November' is no date — write it like"),
        (["--stale", "--to", "2999-01-01"], "2999-01-01 has not begun — today is"),
        (["--stale", "--from", "2026-11-02", "--to", "2026-11-01"], "is after --to"),
        (["--stale", "--launch", "--url", "http://127.0.0.1:9"], "no Dagster webserver answers at http://127.0.0.1:9"),
        (["--stale", "--launch", "--url", "ftp://x"], "is no address of a webserver"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused_with_a_remedy(lake, config, home, here, queued, arguments, said):
    fill(lake, config)
    configure(home, lake, **CHANGED)
    with pytest.raises(FluxForgeError) as refused:
        command.main(arguments, standalone_mode=False)
    assert said in str(refused.value)
    assert queued() == {}


def test_dates_before_the_first_partition_are_refused(lake, config, home, here):
    fill(lake, config)
    configured = json.loads(config_of(lake.root, **CHANGED).model_dump_json())
    configured["etl"]["start_date"] = "2026-11-21"
    Path(home["FLUXFORGE_CONFIG"]).write_text(yaml.safe_dump(configured))
    with pytest.raises(FluxForgeError, match=rf"before etl.start_date 2026-11-21, first {DAY}.{BTC}"):
        command.main(["--stale"], standalone_mode=False)


def test_all_means_all_that_was_collected(lake, home, here, capsys):
    """Also where nothing was computed yet."""
    seal(lake.root, records(1, seconds=10, instruments=INSTRUMENTS))
    land(lake, "ccxt")
    command.main(["--all", "--asset", "silver/trades", "--json"], standalone_mode=False)
    plan = json.loads(capsys.readouterr().out)
    keys = [f"{DAY}|{key}" for key in (BTC, ETH, "okx:BTC-USDT_USDT")]
    assert plan["batches"] == [{"assets": ["silver/trades"], "partitions": keys}]
    assert plan["estimate_seconds"] is None


def test_all_takes_in_an_instrument_of_which_bronze_alone_is_left(lake, home, here, capsys):
    """One that was pruned and that the configuration no longer names; what was never collected is no silent nothing."""
    seal(lake.root, records(1, seconds=10, instruments=INSTRUMENTS[:1]))
    land(lake, "ccxt")
    wanted = ["--all", "--asset", "gold/bars", "--instrument"]
    command.main([*wanted, BTC, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["partitions"] == 1
    command.main([*wanted, BTC, "--from", "2026-11-21"], standalone_mode=False)
    assert capsys.readouterr().out == "nothing of this was collected: see `fluxforge coverage`\n"
    with pytest.raises(FluxForgeError, match=f"there is no instrument '{ETH}' in the lake — did you mean {BTC}"):
        command.main([*wanted, ETH], standalone_mode=False)


def test_a_dry_run_writes_nothing(lake, config, home, here):
    fill(lake, config)
    configure(home, lake, **CHANGED)
    before = sorted(lake.root.rglob("*"))
    command.main(["--stale"], standalone_mode=False)
    command.main(["--all"], standalone_mode=False)
    assert before == sorted(lake.root.rglob("*"))
