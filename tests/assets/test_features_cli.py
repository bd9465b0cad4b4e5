import json

import pytest

from fluxforge_assets.cli.features import LOOK_AHEAD, catalogue, page
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_collector.cli import main
from fluxforge_collector.config.features import FeatureOptions


@pytest.fixture
def features(capsys, monkeypatch, tmp_path):
    """What `fluxforge features …` prints, in a folder without configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLUXFORGE_CONFIG", raising=False)

    def run(*arguments):
        main(["features", *arguments])
        return capsys.readouterr().out

    return run


def refused(features, capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        features(*arguments)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_the_counts_of_the_catalogue():
    tables = [e.table for e in catalogue(FeatureOptions(families="all"))]
    counts = {table: tables.count(table) for table in dict.fromkeys(tables)}
    # catalogue 17; bars have 36 of their own and 80 windows, keys included
    assert counts == {
        "silver": 578,
        "bars": 116,
        "labels": 22,
        "vpin": 3 + 4,
        "cross_venue": 3 + 7,
        "ofi_integrated": 3 + 2,
    }


def test_every_column_says_what_it_is():
    for entry in catalogue(FeatureOptions(families="all")):
        column = entry.column
        assert column.description, column.name
        assert column.null, column.name
        if column.dtype.value == "Float64":
            assert column.unit, column.name


def test_one_column(features):
    shown = features("rvol_60s")
    for part in ("rvol_60s", "silver", "L Volatility", "Float64", "n_pair = 0", "Andersen"):
        assert part in shown


def test_a_name_in_two_tables_is_shown_in_both(features):
    shown = features("vol")
    assert "table    silver" in shown
    assert "table    bars" in shown


def test_a_family(features):
    lines = features("--family", "K").splitlines()[1:]
    assert {line.split()[2] for line in lines} == {"K"}
    assert any(line.startswith("log_ret_5s") for line in lines)


def test_json_has_every_field(features):
    (entry,) = json.loads(features("fwd_ret_60s", "--json"))
    assert entry["table"] == "labels"
    assert entry["kind"] == "label"
    assert entry["description"].startswith("Looks ahead")
    everything = json.loads(features("--json"))
    stored = [e["name"] for e in everything if e["table"] == "silver" and e["stored"]]
    assert stored == [c.name for c in silver_columns(FeatureOptions())]


def test_a_configuration_names_the_columns(features, tmp_path):
    file = tmp_path / "f.yaml"
    file.write_text("etl: {channels: {orderbook: {processor_options: {horizons: [2, 7]}}}}\n")
    assert "rvol_7s" in features("--config", str(file), "--family", "L")


def test_an_unknown_name_gets_the_nearest(features, capsys):
    assert "imb_l0" in refused(features, capsys, "imb_10")
    assert "lists them" in refused(features, capsys, "qqqqqqqq")
    assert "known: " in refused(features, capsys, "--family", "Z")
    assert "labels" in refused(features, capsys, "--table", "label")


def test_the_page_names_every_declaration_and_warns_of_labels(features):
    text = page()
    assert features("--markdown") == text + "\n"
    assert LOOK_AHEAD in text
    for part in ("| `bid_price_l0` … `ask_price_l9` (20) |", "`kyle_lambda_5s`", "## vpin", "### Q Rolling only"):
        assert part in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1, "every row has every cell"


def test_the_listing_is_one_line_a_column(features):
    lines = features().splitlines()
    assert len(lines) == 1 + len(catalogue(FeatureOptions()))
    assert all(len(line.split()) > 3 for line in lines)
