"""`fluxforge query` as a user types it: what it shows, how it filters, what it says to a mistake."""

import json
from functools import partial

import polars as pl
import pytest
import yaml
from support.market import DAY, NOON_US, config_of, records, seal

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A lake with a minute of everything, shared by all questions."""
    lake = Lake(tmp_path_factory.mktemp("query") / "lake")
    seal(lake.root, records(1, seconds=40))
    land(lake, "ccxt")
    list(update(lake, config_of(lake.root), "ccxt", DAY))
    return lake


@pytest.fixture
def query(lake, monkeypatch, typed, tmp_path):
    """Runs a query; its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUXFORGE__LAKE__ROOT", str(lake.root))
    return partial(typed, "query")


def rows_of(text):
    return json.loads(text)


ASSETS = [
    "bronze/gaps",
    "bronze/orderbook",
    "bronze/ticker",
    "bronze/trades",
    "gold/bars",
    "silver/orderbook",
    "silver/ticker",
    "silver/trades",
]


@pytest.mark.parametrize("asset", [a for a in ASSETS if a != "bronze/gaps"])
def test_every_asset_opens(query, asset):
    code, out, err = query(asset, "--limit", "3")
    assert code == 0, err
    assert len(out.splitlines()) == 4


def test_filters_are_those_asked_for(query):
    code, out, _ = query("silver/trades", "--exchange", "binanceus", "--symbol", "BTC/USDT", "--format", "json")
    rows = rows_of(out)
    assert code == 0
    assert {(r["exchange"], r["symbol"]) for r in rows} == {("binanceus", "BTC-USDT")}
    code, same, _ = query("silver/trades", "--exchange", "binanceus", "--symbol", "BTC-USDT", "--format", "json")
    assert rows_of(same) == rows
    assert [r["ts"] for r in rows] == sorted(r["ts"] for r in rows)


def test_bronze_keeps_the_symbol_of_ccxt_and_takes_both_spellings(query):
    for symbol in ("BTC/USDT:USDT", "BTC-USDT_USDT"):
        _, out, _ = query("bronze/trades", "--symbol", symbol, "--format", "json", "--columns", "symbol")
        assert {r["symbol"] for r in rows_of(out)} == {"BTC/USDT:USDT"}


def test_time_ranges(query):
    _, out, _ = query("silver/trades", "--format", "json")
    stamps = [r["ts"] for r in rows_of(out)]
    _, out, _ = query("silver/trades", "--last", "10s", "--format", "json")
    assert [r["ts"] for r in rows_of(out)] == [t for t in stamps if t > stamps[-1] - 10_000_000]
    _, out, _ = query("silver/trades", "--from", f"{DAY}T12:00:10", "--to", f"{DAY}T12:00:20Z", "--format", "json")
    assert [r["ts"] for r in rows_of(out)] == [t for t in stamps if NOON_US + 10e6 <= t < NOON_US + 20e6]
    assert query("silver/trades", "--date", "2026-11-19")[0] == 2


def test_columns_by_name_and_pattern(query):
    _, out, _ = query("silver/orderbook", "--columns", "ts,imb_l?,mid", "--format", "csv", "--limit", "2")
    assert out.splitlines()[0] == "ts,imb_l0,imb_l1,imb_l2,mid"


def test_a_table_fits_the_terminal(query, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, err = query("silver/orderbook")
    assert max(len(line) for line in out.splitlines()) <= 60
    assert len(out.splitlines()) == 21
    assert "more columns" in err


def test_conditions_and_sql(query):
    _, out, _ = query("gold/bars", "--where", "bar_us = 5000000 and vol > 0", "--format", "json")
    assert {r["bar_us"] for r in rows_of(out)} == {5_000_000}
    _, out, _ = query(
        "gold/bars", "--sql", "select symbol, count(*) as bars from data group by symbol", "--format", "json"
    )
    assert sum(r["bars"] for r in rows_of(out)) > 10


def test_files_and_directories_open_by_path(query, lake, tmp_path):
    _, out, _ = query(str(lake.root / "processed" / "ccxt" / "trades"), "--format", "csv")
    _, same, _ = query("silver/trades", "--format", "csv")
    assert out == same
    code, out, _ = query("silver/trades", "--format", "parquet", "--out", str(tmp_path / "t.parquet"))
    assert (code, out) == (0, "")
    _, again, _ = query(str(tmp_path / "t.parquet"), "--format", "csv")
    assert again == same
    assert pl.read_parquet(tmp_path / "t.parquet").height == len(same.splitlines()) - 1


def test_books_go_to_csv_as_json(query):
    _, out, _ = query("bronze/orderbook", "--limit", "1", "--columns", "bids", "--format", "csv")
    assert '""price""' in out


MISTAKES = {
    "unknown asset": (["gold/bar"], "did you mean gold/bars"),
    "no path": (["./nowhere"], "there is no nowhere"),
    "unknown column": (["gold/bars", "--columns", "ts,midopen"], "mid_open"),
    "unknown column in a condition": (["gold/bars", "--where", "vwapp > 3"], "did you mean vwap"),
    "unknown column in SQL": (["gold/bars", "--sql", "select vwapp from data"], "did you mean vwap"),
    "broken condition": (["gold/bars", "--where", "vwap >"], "cannot be answered"),
    "broken SQL": (["gold/bars", "--sql", "selec"], "cannot be answered"),
    "no length": (["gold/bars", "--last", "ten"], "write it like"),
    "no date": (["gold/bars", "--date", "24.11.2026"], "write it like"),
    "no time": (["gold/bars", "--from", "noon"], "write it like"),
    "Parquet to the terminal": (["gold/bars", "--format", "parquet"], "--out"),
    "unwritable file": (["gold/bars", "--format", "csv", "--out", "/nowhere/x.csv"], "cannot write"),
    "nothing there": (["gold/bars", "--exchange", "kraken"], "there are no rows"),
    "two ways at once": (["gold/bars", "--sql", "select 1", "--columns", "ts"], "--sql says"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_the_remedy(query, arguments, words):
    code, out, err = query(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("fluxforge: ")


@pytest.fixture
def settings(tmp_path, lake):
    """The configuration the lake was computed with."""
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(json.loads(config_of(lake.root).model_dump_json())))
    return str(file)


def test_dense_has_a_row_at_every_instant(query, settings):
    """No instant is left out, the sparse rows are among them unchanged, and a quiet bucket counts 0."""
    choice = ("--symbol", "BTC/USDT", "--columns", "ts,n_book,mid,log_ret_5s", "--format", "json", "--config", settings)
    sparse = {row["ts"]: row for row in rows_of(query("silver/orderbook", *choice)[1])}
    code, out, err = query("silver/orderbook", "--dense", *choice)
    assert code == 0, err
    dense = rows_of(out)
    assert [row["ts"] for row in dense] == list(range(min(sparse), max(sparse) + 1, 1_000_000))
    assert len(dense) > len(sparse)
    for row in dense:
        if row["ts"] in sparse:
            wanted = sparse[row["ts"]]
            assert (row["n_book"], row["log_ret_5s"]) == (wanted["n_book"], pytest.approx(wanted["log_ret_5s"]))
        else:
            assert row["n_book"] == 0


def test_dense_reads_back_far_enough(query, settings):
    """Asked for a few seconds only, the same values come out as of the whole."""
    choice = ("--symbol", "BTC/USDT", "--columns", "ts,mid,*_5s", "--format", "json", "--config", settings)
    whole = rows_of(query("silver/orderbook", "--dense", *choice)[1])
    first = rows_of(query("silver/orderbook", "--dense", "--last", "10s", *choice)[1])
    assert len(first) == 10
    assert first == whole[-10:]
    dated = rows_of(query("silver/orderbook", "--dense", "--date", DAY, *choice)[1])
    assert dated == whole


def test_dense_is_refused_where_there_is_no_grid(query):
    code, _, err = query("gold/bars", "--dense")
    assert code == 2
    assert "--dense with silver/orderbook" in err
