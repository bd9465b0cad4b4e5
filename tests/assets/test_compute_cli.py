import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fluxforge_assets.bars import compute_bars, trade_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.labels import compute_labels
from fluxforge_collector.cli import main
from fluxforge_collector.config.features import FeatureOptions

S = 1_000_000
T0 = 1_760_000_000 * S
LEVELS = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))
CONFIG = {"max_levels": 2, "ofi_levels": 2, "wmid_levels": [2], "horizons": [1, 5], "bar_durations": [5]}
OPTIONS = FeatureOptions(families="all", **CONFIG)


def books(symbol="AAA-USD", count=120, exchange="demo"):
    """Books a third of a second apart whose mid walks, with `seq` and the exchange's time."""
    rows = [
        {
            "exchange": exchange,
            "symbol": symbol,
            "capture_ts": T0 + k * S // 3,
            "timestamp": (T0 + k * S // 3) // 1000 - 20,
            "seq": k,
            "bids": [{"price": 100 + k % 7 / 100 - 0.01 * i, "size": 1.0 + (k + i) % 5} for i in range(3)],
            "asks": [{"price": 100.02 + k % 7 / 100 + 0.01 * i, "size": 1.0 + (k * i) % 4} for i in range(3)],
        }
        for k in range(count)
    ]
    return pl.DataFrame(rows, schema_overrides={"bids": LEVELS, "asks": LEVELS})


def trades(symbol="AAA-USD", count=60, exchange="demo"):
    return pl.DataFrame(
        [
            {
                "exchange": exchange,
                "symbol": symbol,
                "capture_ts": T0 + k * 7 * S // 10 + 1,
                "seq": k,
                "side": "buy" if k % 3 else "sell",
                "price": 100.0 + k % 5 / 100,
                "amount": 0.5 + k % 4,
            }
            for k in range(count)
        ]
    )


GAPS = pl.DataFrame(
    {
        "exchange": ["demo"],
        "symbol": ["AAA-USD"],
        "channel": ["orderbook"],
        "gap_start": [T0 + 10 * S],
        "gap_end": [T0 + 12 * S],
        "reason": ["disconnect"],
    }
)


@pytest.fixture
def folder(tmp_path):
    """A folder of input files."""
    books().write_parquet(tmp_path / "book.parquet", row_group_size=25)
    trades().write_parquet(tmp_path / "trades.parquet")
    GAPS.write_parquet(tmp_path / "gaps.parquet")
    (tmp_path / "c.json").write_text(json.dumps(CONFIG))
    return tmp_path


def run(folder, what, **named):
    """`fluxforge compute …` with files of the folder; returns its output file as a frame."""
    out = named.pop("out", folder / f"{what}.parquet")
    arguments = ["compute", what, "--out", str(out), "--config", str(named.pop("config", folder / "c.json"))]
    for name, value in named.items():
        arguments += [f"--{name}", str(folder / value) if isinstance(value, str) else str(value)]
    main(arguments)
    return pl.read_parquet(out)


def fails(capsys, folder, what, **named):
    """The one line of the error of `fluxforge compute …`, which left nothing behind."""
    out = named.get("out", folder / "never.parquet")
    with pytest.raises(SystemExit) as stop:
        run(folder, what, **({"out": out} | named))
    assert stop.value.code == 2
    assert not [p for p in folder.iterdir() if p.name.startswith((".", "never"))]
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fluxforge: ")
    return lines[0]


def test_silver_equals_the_python_call(folder):
    made = run(folder, "silver", book="book.parquet", trades="trades.parquet", gaps="gaps.parquet")
    assert_frame_equal(made, compute_silver(books(), trades(), GAPS, options=OPTIONS), check_exact=True)
    assert made["n_break"].sum() == 1 + 6, "the first event, and each of six steps inside the gap"


def test_labels_equal_the_python_call(folder):
    silver = run(folder, "silver", book="book.parquet", trades="trades.parquet")
    made = run(folder, "labels", silver="silver.parquet", watermark=T0 + 30 * S)
    assert_frame_equal(made, compute_labels(silver, options=OPTIONS, watermark_us=T0 + 30 * S), check_exact=True)


def test_bars_equal_the_python_call(folder):
    silver = run(folder, "silver", book="book.parquet", trades="trades.parquet")
    made = run(folder, "bars", silver="silver.parquet", watermark=T0 + 30 * S)
    assert_frame_equal(made, compute_bars(silver, options=OPTIONS, watermark_us=T0 + 30 * S), check_exact=True)
    assert made["ts"].max() == T0 + 30 * S


def test_bars_of_trades_equal_the_python_call(folder):
    made = run(folder, "bars", trades="trades.parquet", watermark=T0 + 30 * S)
    rows = trade_bars(pl.read_parquet(folder / "trades.parquet"), OPTIONS.bar_durations)
    assert made.height
    assert_frame_equal(made, rows.filter(pl.col("ts") <= T0 + 30 * S), check_exact=True)


def test_bars_and_labels_of_several_instruments_are_each_their_own(folder):
    pl.concat([books("ZZZ-USD"), books("AAA-USD")]).write_parquet(folder / "two.parquet")
    silver = run(folder, "silver", book="two.parquet")
    for what, compute in (("bars", compute_bars), ("labels", compute_labels)):
        made = run(folder, what, silver="silver.parquet")
        alone = [compute(part, options=OPTIONS) for _, part in silver.group_by("symbol", maintain_order=True)]
        assert_frame_equal(made, pl.concat(alone), check_exact=True)


def test_the_watermark_cuts(folder):
    made = run(folder, "silver", book="book.parquet", watermark=T0 + 20 * S)
    assert made["ts"].max() == T0 + 20 * S


def test_several_instruments_in_any_order_come_out_in_key_order(folder):
    several = pl.concat([books("ZZZ-USD"), books("AAA-USD"), books("AAA-USD", exchange="another")])
    several.sample(fraction=1.0, shuffle=True, seed=4).write_parquet(folder / "mixed.parquet", row_group_size=50)
    made = run(folder, "silver", book="mixed.parquet")
    keys = made.select("exchange", "symbol").unique(maintain_order=True).rows()
    assert keys == [("another", "AAA-USD"), ("demo", "AAA-USD"), ("demo", "ZZZ-USD")]
    one = made.filter((pl.col("exchange") == "demo") & (pl.col("symbol") == "AAA-USD"))
    assert_frame_equal(one, compute_silver(books(), options=OPTIONS), check_exact=True)


def test_an_instrument_that_only_traded_has_rows(folder):
    trades("BBB-USD").write_parquet(folder / "other.parquet")
    made = run(folder, "silver", book="book.parquet", trades="other.parquet")
    other = made.filter(pl.col("symbol") == "BBB-USD")
    assert other.height > 0
    assert other["mid"].null_count() == other.height


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda b: b.rename({"timestamp": "exchange_ts"}), id="exchange_ts"),
        pytest.param(lambda b: b.with_columns(pl.from_epoch("capture_ts", "us")), id="capture_ts a timestamp"),
        pytest.param(
            lambda b: b.with_columns(pl.from_epoch("capture_ts", "us").dt.replace_time_zone("UTC")), id="with a zone"
        ),
        pytest.param(lambda b: b.drop("seq"), id="no seq"),
        pytest.param(lambda b: b.with_columns(pl.col("exchange", "symbol").cast(pl.Categorical)), id="dictionaries"),
        pytest.param(lambda b: b.with_columns(collected_at=pl.lit(0), conn=pl.lit(1), note=pl.lit("x")), id="others"),
    ],
)
def test_every_spelling_of_bronze_gives_the_same(folder, change):
    change(books()).write_parquet(folder / "spelt.parquet")
    made = run(folder, "silver", book="spelt.parquet")
    assert_frame_equal(made, compute_silver(books(), options=OPTIONS), check_exact=True)


def test_without_families_all_are_computed_and_named_ones_are_kept(folder):
    assert "resil_spread_5s" in run(folder, "silver", book="book.parquet").columns
    (folder / "core.yaml").write_text("families: core\nmax_levels: 2\nofi_levels: 2\n")
    assert "resil_spread_5s" not in run(folder, "silver", book="book.parquet", config=folder / "core.yaml").columns
    (folder / "tabs.json").write_text('{\n\t"max_levels": 3,\n\t"ofi_levels": 2\n}')
    assert "bid_price_l2" in run(folder, "silver", book="book.parquet", config=folder / "tabs.json").columns
    (folder / "whole.yaml").write_text(
        "etl: {channels: {orderbook: {processor_options: {max_levels: 3, ofi_levels: 2}}}}\n"
    )
    assert "bid_price_l2" in run(folder, "silver", book="book.parquet", config=folder / "whole.yaml").columns


def test_no_rows_give_an_empty_file_of_all_columns(folder):
    books().clear().write_parquet(folder / "none.parquet")
    made = run(folder, "silver", book="none.parquet")
    assert made.shape == (0, compute_silver(books(), options=OPTIONS).width)


def test_bad_files_are_one_line(folder, capsys):
    (folder / "text.parquet").write_text("no parquet")
    books().drop("bids").write_parquet(folder / "nobids.parquet")
    books().with_columns(bids=pl.lit("x")).write_parquet(folder / "wrong.parquet")
    books().with_columns(symbol=pl.lit(None, pl.String)).write_parquet(folder / "unnamed.parquet")
    books().with_columns(pl.col("capture_ts").cast(pl.Float64)).write_parquet(folder / "floats.parquet")
    assert "no file" in fails(capsys, folder, "silver", book="missing.parquet")
    assert "no readable Parquet" in fails(capsys, folder, "silver", book="text.parquet")
    assert "no column bids" in fails(capsys, folder, "silver", book="nobids.parquet")
    assert "bids" in fails(capsys, folder, "silver", book="wrong.parquet")
    assert "null" in fails(capsys, folder, "silver", book="unnamed.parquet")
    assert "capture_ts" in fails(capsys, folder, "silver", book="floats.parquet")
    assert "gap_start" in fails(capsys, folder, "silver", book="book.parquet", gaps="trades.parquet")
    assert "no column ts" in fails(capsys, folder, "labels", silver="book.parquet")


def test_a_damaged_file_is_one_line(folder, capsys):
    whole = (folder / "book.parquet").read_bytes()
    half = len(whole) // 3
    (folder / "torn.parquet").write_bytes(whole[:half] + bytes(200) + whole[half + 200 :])
    assert "torn.parquet" in fails(capsys, folder, "silver", book="torn.parquet")


def test_bad_configurations_are_one_line(folder, capsys):
    (folder / "typo.json").write_text('{"max_level": 5}')
    (folder / "broken.yaml").write_text("max_levels: [")
    (folder / "wrong.yaml").write_text("horizons: [5, 1]")
    (folder / "broken.json").write_text('{"max_levels": }')
    (folder / "list.json").write_text("[1]")
    read = {"book": "book.parquet"}
    assert "did you mean 'max_levels'" in fails(capsys, folder, "silver", config=folder / "typo.json", **read)
    assert "not valid YAML" in fails(capsys, folder, "silver", config=folder / "broken.yaml", **read)
    assert "not valid JSON" in fails(capsys, folder, "silver", config=folder / "broken.json", **read)
    assert "no keys" in fails(capsys, folder, "silver", config=folder / "list.json", **read)
    assert "increasing" in fails(capsys, folder, "silver", config=folder / "wrong.yaml", **read)
    assert "no configuration file" in fails(capsys, folder, "silver", config=folder / "none.yaml", **read)


def test_an_output_that_cannot_be_is_one_line(folder, capsys):
    read = {"book": "book.parquet"}
    assert "existing directory" in fails(capsys, folder, "silver", out=folder / "no" / "x.parquet", **read)
    assert "existing directory" in fails(capsys, folder, "silver", out=folder, **read)
    before = (folder / "book.parquet").read_bytes()
    assert "read and written" in fails(capsys, folder, "silver", out=folder / "book.parquet", **read)
    assert (folder / "book.parquet").read_bytes() == before


def test_a_failure_on_the_way_leaves_the_old_output(folder, capsys):
    run(folder, "silver", book="book.parquet")
    before = (folder / "silver.parquet").read_bytes()
    bad = pl.concat([books(), books("BBB-USD").with_columns(seq=pl.lit(0, pl.Int64), capture_ts=pl.lit(T0))])
    bad.write_parquet(folder / "bad.parquet")
    assert "seq" in fails(capsys, folder, "silver", book="bad.parquet", out=folder / "silver.parquet")
    assert (folder / "silver.parquet").read_bytes() == before


def test_the_installed_command_runs(folder):
    command = Path(sys.executable).parent / "fluxforge"
    out = folder / "x.parquet"
    done = subprocess.run(
        [command, "compute", "silver", "--book", folder / "book.parquet", "--out", out],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    assert "silver rows" in done.stdout
    assert pl.read_parquet(out).height > 0
