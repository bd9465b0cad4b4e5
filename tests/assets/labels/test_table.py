import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_assets.labels import compute_labels, label_columns
from fluxforge_assets.tables import Dtype, Kind
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

S = 1_000_000
T0 = 1_760_000_000 * S
OPTIONS = FeatureOptions(label_horizons=(1, 5, 10), rs_horizons=(1, 5), max_gap=3)
TRADE_COLUMNS = ("buy_vol", "sell_vol", "buy_qvol", "sell_qvol")


def silver(rows):
    """Silver rows from (second, mid or None, log_ret or None, buy, sell); the book is half a second old."""
    return pl.DataFrame(
        [
            {
                "exchange": "demo",
                "symbol": "AAA-USD",
                "ts": T0 + second * S,
                "n_book": int(mid is not None),
                "n_pair": int(log_ret is not None),
                "mid": mid,
                "last_book_ts": None if mid is None else T0 + second * S - S // 2,
                "log_ret": log_ret,
                "buy_vol": buy,
                "sell_vol": sell,
                "buy_qvol": None if buy is None else buy * 100.0,
                "sell_qvol": None if sell is None else sell * 100.0,
            }
            for second, mid, log_ret, buy, sell in rows
        ],
        schema={
            "exchange": pl.String,
            "symbol": pl.String,
            "ts": pl.Int64,
            "n_book": pl.UInt32,
            "n_pair": pl.UInt32,
            "mid": pl.Float64,
            "last_book_ts": pl.Int64,
            "log_ret": pl.Float64,
            **dict.fromkeys(TRADE_COLUMNS, pl.Float64),
        },
    )


def value(table, second, column):
    return table.filter(pl.col("ts") == T0 + second * S)[column].item()


STEADY = silver([(k, 100.0 + k, 0.01, 0.0, 0.0) for k in range(1, 12)])


def test_a_return_runs_from_the_row_to_the_horizon():
    table = compute_labels(STEADY, options=OPTIONS)
    assert value(table, 1, "fwd_ret_5s") == math.log(106 / 101)


def test_a_label_is_null_until_its_whole_window_is_before_the_watermark():
    table = compute_labels(STEADY, options=OPTIONS, watermark_us=T0 + 8 * S)
    assert table["ts"].max() == T0 + 8 * S
    assert value(table, 3, "fwd_ret_5s") is not None
    assert value(table, 4, "fwd_ret_5s") is None
    assert value(table, 4, "fwd_rvol_5s") is None
    assert value(table, 7, "fwd_ret_1s") is not None


def test_a_watermark_after_the_last_row_completes_its_labels():
    table = compute_labels(STEADY, options=OPTIONS, watermark_us=T0 + 12 * S)
    assert value(table, 11, "fwd_ret_1s") == 0.0


def test_the_mid_is_as_of_and_only_while_it_is_live():
    # the book of second 2 is 0.5 s old at 2, 3.0 s at 4.5; max_gap is 3 s, so it lives at 4 and is dead at 5
    rows = silver([(1, 100.0, None, 0.0, 0.0), (2, 101.0, 0.01, 0.0, 0.0), (6, 102.0, None, 0.0, 0.0)])
    options = FeatureOptions(label_horizons=(1, 2, 3), rs_horizons=(1,), max_gap=3)
    table = compute_labels(rows, options=options, watermark_us=T0 + 20 * S)
    assert value(table, 2, "fwd_ret_2s") == 0.0
    assert value(table, 2, "fwd_ret_3s") is None
    assert value(table, 1, "fwd_ret_3s") == math.log(101 / 100)


def test_an_age_of_exactly_max_gap_is_live():
    rows = silver([(1, 100.0, None, 0.0, 0.0), (2, 101.0, 0.01, 0.0, 0.0)])
    options = FeatureOptions(label_horizons=(1, 2), rs_horizons=(1,), max_gap=2.5)
    table = compute_labels(rows, options=options, watermark_us=T0 + 20 * S)
    assert value(table, 2, "fwd_ret_2s") == 0.0
    options = FeatureOptions(label_horizons=(1, 2), rs_horizons=(1,), max_gap=2.499999)
    table = compute_labels(rows, options=options, watermark_us=T0 + 20 * S)
    assert value(table, 2, "fwd_ret_2s") is None


def test_a_row_without_a_book_starts_from_the_last_live_one():
    rows = silver([(1, 100.0, None, 0.0, 0.0), (2, None, None, 1.0, 0.0), (3, 103.0, 0.03, 0.0, 0.0)])
    table = compute_labels(rows, options=OPTIONS)
    assert value(table, 2, "fwd_ret_1s") == math.log(103 / 100)


def test_the_lag_moves_both_ends_and_the_volatility_but_not_the_realised_spread():
    lagged = OPTIONS.model_copy(update={"label_lag": 2.0})
    rows = silver([(k, 100.0 + k, k / 1000, 1.0, 0.0) for k in range(1, 12)])
    table = compute_labels(rows, options=lagged)
    assert value(table, 1, "fwd_ret_5s") == math.log(108 / 103)
    assert value(table, 1, "fwd_rvol_5s") == pytest.approx(math.sqrt(sum((k / 1000) ** 2 for k in range(4, 9))))
    assert value(table, 1, "fwd_realized_spread_bps_1s") == value(
        compute_labels(rows, options=OPTIONS), 1, "fwd_realized_spread_bps_1s"
    )
    assert value(table, 1, "label_end_ts") == T0 + 13 * S


def test_volatility_sums_the_observed_returns_of_the_window_alone():
    rows = silver(
        [
            (1, 100.0, 0.5, 0.0, 0.0),
            (2, 100.0, 0.03, 0.0, 0.0),
            (3, 100.0, None, 0.0, 0.0),
            (6, 100.0, -0.04, 0.0, 0.0),
            (7, 100.0, 0.7, 0.0, 0.0),
        ]
    )
    table = compute_labels(rows, options=OPTIONS.model_copy(update={"max_gap": 60.0}))
    assert value(table, 1, "fwd_rvol_5s") == pytest.approx(0.05, rel=1e-15)
    assert "fwd_rvol_1s" not in table.columns, "a volatility needs five buckets"


def test_volatility_is_null_where_no_return_was_observed():
    rows = silver([(1, 100.0, 0.01, 0.0, 0.0), (6, 100.0, None, 0.0, 0.0)])
    table = compute_labels(rows, options=OPTIONS.model_copy(update={"max_gap": 60.0}))
    assert value(table, 1, "fwd_ret_5s") == 0.0
    assert value(table, 1, "fwd_rvol_5s") is None


def test_realised_spread_by_hand():
    # catalogue 16.3, row +3: a sale of 4 at 99.98, mid 100.00 before, 100.015 one second later
    rows = silver([(3, 100.0, None, 0.0, 4.0), (4, 100.015, 0.0, 0.0, 0.0)])
    rows = rows.with_columns(sell_qvol=pl.Series([4 * 99.98, 0.0]))
    table = compute_labels(rows, options=OPTIONS)
    assert value(table, 3, "fwd_realized_spread_bps_1s") == pytest.approx(7.0, rel=1e-11)
    assert value(table, 4, "fwd_realized_spread_bps_1s") is None, "no signed trade"


def test_without_a_trades_feed_the_realised_spread_is_null():
    rows = silver([(k, 100.0, 0.0, None, None) for k in range(1, 9)])
    table = compute_labels(rows, options=OPTIONS)
    assert table["fwd_realized_spread_bps_1s"].null_count() == table.height
    assert value(table, 1, "fwd_ret_1s") == 0.0


def test_every_label_says_that_it_looks_ahead():
    columns = label_columns(FeatureOptions())
    ahead = [c for c in columns if c.kind is not Kind.KEY]
    assert len(columns) == 22, "catalogue 17, keys included"
    for column in ahead:
        assert column.kind is Kind.LABEL
        assert column.name == "label_end_ts" or column.name.startswith("fwd_")
        assert column.name == "label_end_ts" or column.description.startswith("Looks ahead")


def test_the_table_is_what_was_declared():
    table = compute_labels(STEADY, options=OPTIONS)
    declared = label_columns(OPTIONS)
    assert table.columns == [c.name for c in declared]
    assert [table.schema[c.name] for c in declared] == [c.dtype.polars for c in declared]
    assert {c.dtype for c in declared} == {Dtype.F64, Dtype.I64, Dtype.STRING}


def test_no_rows_give_an_empty_table_of_the_same_columns():
    assert compute_labels(STEADY.clear(), options=OPTIONS).columns == [c.name for c in label_columns(OPTIONS)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(STEADY.drop("mid"), "needs the silver columns mid", id="column missing"),
        pytest.param(pl.concat([STEADY, STEADY]), "the same ts", id="rows twice"),
        pytest.param(
            pl.concat([STEADY, STEADY.with_columns(symbol=pl.lit("B-C"))]), "several instruments", id="two instruments"
        ),
    ],
)
def test_bad_silver_is_one_clear_error(rows, message):
    with pytest.raises(DataError, match=message):
        compute_labels(rows, options=OPTIONS)


@st.composite
def days_of_silver(draw):
    """Silver rows with quiet spells, rows without a book, jumps of twelve orders of magnitude."""
    seconds = draw(st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=40))
    mids = st.one_of(st.none(), st.floats(1, 1e6))
    returns = st.one_of(st.none(), st.floats(-0.1, 0.1), st.floats(-1e-13, 1e-13))
    volumes = st.one_of(st.just(0.0), st.floats(1e-6, 1e6))
    rows = [(second, draw(mids), draw(returns), draw(volumes), draw(volumes)) for second in sorted(seconds)]
    return silver([(s, m, r if m is not None else None, b, q) for s, m, r, b, q in rows])


@given(rows=days_of_silver(), cut=st.integers(0, 62))
def test_a_label_once_given_never_changes(rows, cut):
    """Property 9: what is known at a watermark is known, bit for bit, at every later one."""
    early = compute_labels(rows.filter(pl.col("ts") <= T0 + cut * S), options=OPTIONS, watermark_us=T0 + cut * S)
    late = compute_labels(rows, options=OPTIONS, watermark_us=T0 + 62 * S)
    later = late.filter(pl.col("ts") <= T0 + cut * S)
    assert early["ts"].to_list() == later["ts"].to_list()
    for column in early.columns[3:]:
        for before, after in zip(early[column].to_list(), later[column].to_list(), strict=True):
            assert before is None or before == after


def close(ours, expected):
    """Within the catalogue's tolerance for log-returns; null only where null."""
    if ours is None or expected is None:
        return ours is expected
    return math.isclose(ours, expected, rel_tol=1e-9, abs_tol=1e-12)


@given(rows=days_of_silver())
def test_the_obvious_row_by_row_labels_agree(rows):
    table = compute_labels(rows, options=OPTIONS, watermark_us=T0 + 61 * S)
    records = rows.to_dicts()

    def mid(t):
        live = [r for r in records if r["ts"] <= t and r["n_book"] >= 1]
        if t > T0 + 61 * S or not live or t - live[-1]["last_book_ts"] > 3 * S:
            return None
        return live[-1]["mid"]

    for record, label in zip(records, table.to_dicts(), strict=True):
        start, end = mid(record["ts"]), mid(record["ts"] + 5 * S)
        expected = None if start is None or end is None else math.log(end / start)
        assert close(label["fwd_ret_5s"], expected)
        window = [r for r in records if record["ts"] < r["ts"] <= record["ts"] + 5 * S and r["n_pair"] >= 1]
        volatility = (
            math.sqrt(math.fsum(r["log_ret"] ** 2 for r in window)) if expected is not None and window else None
        )
        assert close(label["fwd_rvol_5s"], volatility)
        assert not any(isinstance(v, float) and not math.isfinite(v) for v in label.values())


def test_rows_before_the_start_are_left_out_and_change_nothing():
    whole = compute_labels(STEADY, options=OPTIONS)
    part = compute_labels(STEADY, options=OPTIONS, from_us=T0 + 4 * S)
    assert part.equals(whole.filter(pl.col("ts") > T0 + 4 * S))
