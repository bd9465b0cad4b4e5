"""Silver as a whole: types, nulls, which rows, the same rows by any way."""

import random

import polars as pl
import pyarrow as pa
import pytest
from support.dirty import Bronze, dirty

from fluxforge_assets.features import stream
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.events import as_table
from fluxforge_assets.features.silver import add_rolling, compute_silver, silver_frames
from fluxforge_assets.tables import Kind
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

OPTIONS = FeatureOptions(families="all", max_gap=8.0, horizons=(1, 5, 20))


@pytest.fixture(scope="module")
def bronze():
    return dirty(31, OPTIONS, events=2500).frames()


@pytest.fixture(scope="module")
def silver(bronze):
    return compute_silver(*bronze, options=OPTIONS)


def test_columns_types_and_nulls_are_as_declared(silver):
    columns = silver_columns(OPTIONS)
    assert silver.columns == [column.name for column in columns]
    for column in columns:
        assert silver[column.name].dtype == column.dtype.polars, column.name
        if column.null == "never":
            assert silver[column.name].null_count() == 0, column.name
        if column.null == "n_book = 0":
            assert silver.filter(pl.col("n_book") > 0)[column.name].null_count() == 0, column.name
        if column.kind is Kind.STATIC:
            assert silver.filter(n_book=0)[column.name].is_null().all(), column.name


def test_nothing_is_nan_or_infinite(silver):
    numbers = silver.select(pl.col(pl.Float64))
    assert numbers.select(pl.all().is_finite().all()).row(0) == (True,) * numbers.width


def test_a_row_exists_where_a_valid_book_or_trade_does(silver):
    assert ((silver["n_book"] > 0) | (silver["n_trade"] > 0)).all()
    assert (silver["n_book"] == 0).any()
    assert (silver["n_trade"] == 0).any()
    assert silver["ts"].is_sorted()
    assert silver["ts"].is_unique().all()


def cut(frame, chooser):
    """A frame as batches cut at random rows, some of them empty."""
    batch = as_table(frame, "").combine_chunks().to_batches()[0]
    places = sorted(chooser.choices(range(len(batch) + 1), k=12))
    return [batch.slice(a, b - a) for a, b in zip([0, *places], [*places, len(batch)], strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_where_batches_are_cut_changes_no_bit(bronze, silver, seed):
    book, trades, gaps = (
        frame.sort("capture_ts", maintain_order=True) if "seq" in frame.columns else frame for frame in bronze
    )
    chooser = random.Random(seed)
    book, trades = book.sort("capture_ts", "seq"), trades.sort("capture_ts", "seq")
    found = pl.concat(silver_frames(cut(book, chooser), cut(trades, chooser), gaps, options=OPTIONS))
    assert found.equals(silver), f"seed {seed}"


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_how_many_rows_are_made_at_once_changes_no_bit(bronze, silver, rows, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_ROWS", rows)
    book, trades, gaps = bronze
    book, trades = as_table(book.sort("capture_ts", "seq"), ""), as_table(trades.sort("capture_ts", "seq"), "")
    batches = (table.to_batches(max_chunksize=200) for table in (book, trades))
    assert pl.concat(silver_frames(*batches, gaps, options=OPTIONS)).equals(silver)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_earlier_rows_stand_in_for_earlier_events(bronze, silver, share):
    book, trades, gaps = bronze
    from_us = silver["ts"][int(silver.height * share)]
    first_us = from_us - 2 * OPTIONS.max_gap_us - OPTIONS.bucket_us
    recent = (frame.filter(pl.col("capture_ts") >= first_us) for frame in (book, trades))
    found = compute_silver(
        *recent, gaps, options=OPTIONS, from_us=from_us, history=silver.filter(pl.col("ts") <= from_us)
    )
    assert found.equals(silver.filter(pl.col("ts") > from_us))


def test_only_final_rows_after_the_start_are_given(bronze, silver):
    from_us, watermark_us = silver["ts"][400], silver["ts"][800] + 1
    found = compute_silver(*bronze, options=OPTIONS, from_us=from_us, watermark_us=watermark_us)
    assert found.equals(silver.filter(pl.col("ts") > from_us, pl.col("ts") <= watermark_us))


def test_without_a_trades_feed_its_columns_are_null(bronze, silver):
    book, _, gaps = bronze
    found = compute_silver(book, None, gaps, options=OPTIONS)
    for column in silver_columns(OPTIONS):
        if column.trades:
            assert found[column.name].is_null().all(), column.name
        elif column.kind is not Kind.ROLLING:
            booked = silver.filter(pl.col("n_book") > 0)[column.name]
            assert found[column.name].equals(booked, null_equal=True), column.name


@pytest.mark.parametrize("families", ["core", ("A", "K", "Q")], ids=str)
def test_fewer_families_store_the_same_values(bronze, silver, families):
    options = OPTIONS.model_copy(update={"families": families})
    found = compute_silver(*bronze, options=options)
    assert found.equals(silver.select(found.columns))


def test_rolling_families_are_added_from_stored_statistics(bronze, silver):
    options = OPTIONS.model_copy(update={"families": ("A",)})
    stored = compute_silver(*bronze, options=options)
    added = add_rolling(stored, options=options, families="JKLMNOPQ")
    rolling = [column.name for column in silver_columns(OPTIONS) if column.kind is Kind.ROLLING]
    assert added.select(rolling).equals(silver.select(rolling))


def test_history_of_other_columns_is_refused(bronze, silver):
    with pytest.raises(DataError, match="history"):
        compute_silver(*bronze, options=OPTIONS, history=silver.head(50).drop("ofi_l3"))


def test_no_rows_give_the_declared_columns():
    empty = compute_silver(*Bronze([], [], []).frames(), options=OPTIONS)
    assert empty.height == 0
    assert empty.columns == [column.name for column in silver_columns(OPTIONS)]


def test_books_of_another_instrument_beside_trades_are_refused(bronze):
    book, trades, _ = bronze
    other = trades.with_columns(symbol=pl.lit("BBB/USD"))
    with pytest.raises(DataError, match="BBB/USD"):
        compute_silver(pa.Table.from_batches(as_table(book, "").to_batches()), other, options=OPTIONS)
