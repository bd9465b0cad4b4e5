import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.dense import dense_view
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.tables import Kind
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

S = 1_000_000
T0 = 1_760_000_000 * S
OPTIONS = FeatureOptions(families="all", max_levels=2, ofi_levels=2, wmid_levels=(2,), horizons=(1, 5, 10), max_gap=8)
LEVELS = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))


def quiet_market(seed):
    """Books with quiet spells of up to twelve seconds, and trades of their own times."""
    rng = np.random.default_rng(seed)
    at = T0 + np.cumsum(rng.choice([S // 7, S // 2, 3 * S, 12 * S], 60, p=[0.4, 0.4, 0.15, 0.05]))
    mid = 100 + np.cumsum(rng.integers(-2, 3, 60)) / 100
    rows = [
        {
            "capture_ts": int(t),
            "bids": [{"price": round(m - 0.01 * (i + 1), 2), "size": float(rng.integers(1, 9))} for i in range(2)],
            "asks": [{"price": round(m + 0.01 * (i + 1), 2), "size": float(rng.integers(1, 9))} for i in range(2)],
        }
        for t, m in zip(at, mid, strict=True)
    ]
    name = {"exchange": pl.lit("demo"), "symbol": pl.lit("AAA-USD")}
    book = pl.DataFrame(rows, schema_overrides={"bids": LEVELS, "asks": LEVELS}).with_columns(**name)
    sold = np.sort(rng.integers(T0, at[-1], 20))
    trades = pl.DataFrame({"capture_ts": sold, "side": ["buy", "sell"] * 10, "price": 100.0, "amount": 1.5})
    return book, trades.with_columns(**name), int(at[-1]) // S * S + 20 * S


@pytest.fixture(params=[1, 2, 3])
def market(request):
    print("seed", request.param)
    return quiet_market(request.param)


def test_every_instant_of_the_grid_has_one_row(market):
    book, trades, end = market
    dense = dense_view(compute_silver(book, trades, options=OPTIONS), options=OPTIONS, from_us=T0, to_us=end)
    assert dense["ts"].to_list() == list(range(T0 + S, end + S, S))
    assert dense.columns == [c.name for c in silver_columns(OPTIONS)]
    assert dense.schema == {c.name: c.dtype.polars for c in silver_columns(OPTIONS)}


def test_where_a_row_with_a_book_is_stored_the_view_is_that_row(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    dense = dense_view(silver, options=OPTIONS, from_us=T0, to_us=end)
    stored = silver.filter(pl.col("n_book") > 0)
    assert_frame_equal(dense.join(stored, on="ts", how="semi"), stored, check_exact=True)


def test_where_a_row_has_no_book_only_its_static_columns_differ(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS).filter(pl.col("n_book") == 0)
    whole = compute_silver(book, trades, options=OPTIONS)
    dense = dense_view(whole, options=OPTIONS, from_us=T0, to_us=end).join(silver, on="ts", how="semi")
    static = [c.name for c in silver_columns(OPTIONS) if c.kind is Kind.STATIC]
    assert silver.height > 0
    assert_frame_equal(dense.drop(static), silver.drop(static), check_exact=True)


def test_static_columns_are_carried_while_the_book_is_live_and_no_longer(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    books = silver.filter(pl.col("n_book") > 0).to_dicts()
    died = 0
    for row in dense_view(silver, options=OPTIONS, from_us=T0, to_us=end).iter_rows(named=True):
        before = [b for b in books if b["ts"] <= row["ts"]]
        live = bool(before) and row["ts"] - before[-1]["last_book_ts"] <= 8 * S
        died += bool(before) and not live
        assert row["mid"] == (before[-1]["mid"] if live else None)
        assert row["bid_levels"] == (before[-1]["bid_levels"] if live else None)
        assert row["book_age_us"] == (row["ts"] - before[-1]["last_book_ts"] if live else None)
    assert died > 0


def test_an_empty_bucket_counts_nothing_and_its_other_statistics_are_null(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    empty = dense_view(silver, options=OPTIONS, from_us=T0, to_us=end).join(silver, on="ts", how="anti")
    assert empty.height > 0
    for name in ("n_book", "n_pair", "n_trade", "vol", "max_qvol", "ofi_l0", "log_ret", "pair_us", "sign_sum"):
        assert empty[name].to_list() == [0] * empty.height, name
    for name in ("mid_first", "spread_bps_mean", "trade_last", "last_book_ts", "lag_ms", "mid_age_us", "spread_z_5s"):
        assert empty[name].null_count() == empty.height, name


def test_windows_are_those_of_the_instant_and_never_carried(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    dense = dense_view(silver, options=OPTIONS, from_us=T0, to_us=end)
    for row in dense.iter_rows(named=True):
        window = silver.filter((pl.col("ts") > row["ts"] - 5 * S) & (pl.col("ts") <= row["ts"]))
        seen = window.filter(pl.col("n_pair") > 0)
        assert row["n_book_5s"] == window["n_book"].sum()
        assert row["vol_5s"] == pytest.approx(window["vol"].sum())
        assert row["ofi_l0_sum_5s"] == (pytest.approx(seen["ofi_l0"].sum()) if seen.height else None)
        assert row["mid_range_bps_5s"] == (
            pytest.approx(1e4 * np.log(window["mid_max"].max() / window["mid_min"].min()), abs=1e-9)
            if window["n_book"].sum()
            else None
        )


def test_trade_ages_run_on(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    for row in dense_view(silver, options=OPTIONS, from_us=T0, to_us=end).iter_rows(named=True):
        last = trades.filter(pl.col("capture_ts") < row["ts"])["capture_ts"].max()
        live = last is not None and row["ts"] - last <= 8 * S
        assert row["trade_age_us"] == (row["ts"] - last if live else None)


def test_a_part_of_the_view_needs_only_its_look_back(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    start = T0 + 15 * S
    whole = dense_view(silver, options=OPTIONS, from_us=T0, to_us=end).filter(pl.col("ts") > start)
    late = silver.filter(pl.col("ts") > start - 2 * 10 * S - 8 * S)
    assert_frame_equal(dense_view(late, options=OPTIONS, from_us=start, to_us=end), whole, check_exact=True)


def test_without_a_trades_feed_trade_columns_stay_null(market):
    book, _, end = market
    dense = dense_view(compute_silver(book, options=OPTIONS), options=OPTIONS, from_us=T0, to_us=end)
    for name in ("n_trade", "vol", "vol_5s", "trade_age_us"):
        assert dense[name].null_count() == dense.height


def test_no_rows_give_a_grid_of_nothing():
    book, trades, _ = quiet_market(1)
    dense = dense_view(
        compute_silver(book, trades, options=OPTIONS).clear(), options=OPTIONS, from_us=T0, to_us=T0 + 5 * S
    )
    assert dense["n_book"].to_list() == [0] * 5
    assert dense["mid"].null_count() == 5


def test_columns_not_stored_are_not_invented(market):
    book, trades, end = market
    core = OPTIONS.model_copy(update={"families": ("A", "M")})
    silver = compute_silver(book, trades, options=core)
    assert dense_view(silver, options=core, from_us=T0, to_us=end).columns == silver.columns


def test_bad_silver_is_one_clear_error(market):
    book, trades, end = market
    silver = compute_silver(book, trades, options=OPTIONS)
    for bad, message in (
        (silver.drop("last_book_ts"), "last_book_ts"),
        (pl.concat([silver, silver]), "same ts"),
        (pl.concat([silver, silver.with_columns(symbol=pl.lit("B"))]), "several instruments"),
    ):
        with pytest.raises(DataError, match=message):
            dense_view(bad, options=OPTIONS, from_us=T0, to_us=end)


def test_rows_of_other_options_are_refused_with_the_column_they_lack():
    book, trades, end = quiet_market(1)
    silver = compute_silver(book, trades, options=OPTIONS)
    with pytest.raises(DataError, match="needs the column ofi_l1, which these rows lack"):
        dense_view(silver.drop("ofi_l1"), options=OPTIONS, from_us=T0, to_us=end)
