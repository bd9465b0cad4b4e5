"""`fluxforge prune` deletes what is named, only when told, and never raw."""

import json

import dagster as dg
import pytest
from support.market import DAY

from fluxforge_assets.cli.prune import command
from fluxforge_assets.lake.datasets import DATASETS
from fluxforge_assets.lake.places import stored_places
from fluxforge_collector.errors import FluxForgeError

BTC, ETH, OKX = "binanceus:BTC-USDT", "binanceus:ETH-USDT", "okx:BTC-USDT_USDT"


def stored(lake):
    return {place.instrument.key for dataset in DATASETS for place in stored_places(lake, dataset)}


def assets(lake):
    return {dataset.asset for dataset in DATASETS if list(stored_places(lake, dataset))}


def files(lake, stage):
    return sorted((lake.root / stage).rglob("*.parquet"))


def prune(*arguments):
    command.main(list(arguments), standalone_mode=False)


@pytest.fixture
def dagster_home(tmp_path, monkeypatch):
    """A Dagster home that lists the three instruments."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("instruments", [BTC, ETH, OKX])

    def listed():
        with dg.DagsterInstance.get() as again:
            return set(again.get_dynamic_partitions("instruments"))

    return listed


def test_a_dry_run_deletes_nothing(lake, configure, dagster_home, capsys):
    before = files(lake, "processed")
    prune("--instrument", ETH)
    said = capsys.readouterr().out
    assert "would delete " in said
    assert f"Dagster's partition key {ETH}" in said
    assert "nothing was deleted: add --apply" in said
    assert before == files(lake, "processed")
    assert dagster_home() == {BTC, ETH, OKX}


def test_an_instrument_goes_with_its_partitions_and_its_key(lake, configure, dagster_home, capsys):
    raw, mine = files(lake, "raw"), [path for path in files(lake, "processed") if "exchange=okx" in path.parts]
    assert mine
    prune("--instrument", "okx:BTC/USDT:USDT", "--apply", "--json")
    done = json.loads(capsys.readouterr().out)
    assert len(done["partitions"]) == len({path.parent for path in mine})
    assert (done["applied"], done["keys"]) == (True, [OKX])
    assert done["bytes"] > 0
    assert stored(lake) == {BTC, ETH}
    assert dagster_home() == {BTC, ETH}
    assert files(lake, "raw") == raw
    assert not list((lake.root / "processed").rglob("exchange=okx"))


def test_what_the_configuration_no_longer_names_goes(lake, configure):
    configure(binanceus=["BTC/USDT"])
    prune("--removed", "--apply")
    assert stored(lake) == {BTC}


def test_a_date_or_an_asset_alone_leaves_the_key(lake, configure, dagster_home):
    before = assets(lake)
    prune("--from", DAY, "--to", DAY, "--asset", "gold/bars", "--apply")
    assert assets(lake) == before - {"gold/bars"} < before
    assert dagster_home() == {BTC, ETH, OKX}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to delete"),
        (["--removed"], "the configuration names no exchange at all"),
        (["--instrument", "binanceus:ETH-USD"], "did you mean binanceus:ETH-USDT"),
        (["--from", "2026-13-01"], "is no date"),
        (["--asset", "silver/order", "--from", DAY], "did you mean silver/orderbook?"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_refused(lake, configure, arguments, said):
    before = files(lake, "processed")
    with pytest.raises(FluxForgeError, match=".*".join(said.split())):
        prune(*arguments, "--apply")
    assert before == files(lake, "processed")
