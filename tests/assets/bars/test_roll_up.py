"""Bars: their columns, edges, finality, equality with rolling windows, and what silver must hold."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxforge_assets.bars import bar_columns, compute_bars
from fluxforge_assets.bars.columns import declared_columns
from fluxforge_assets.bars.roll_up import nested_groups
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.rolling import rolling_values
from fluxforge_assets.features.statistics import statistics
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

SECOND = 1_000_000
DAY = 86_400 * SECOND
MIDNIGHT = 20_000 * DAY
ALL = FeatureOptions(families="all")
NULLS = {"n_pair = 0": "n_pair", "n_book = 0": "n_book", "lag_n = 0": "lag_n", "dur_n = 0": "dur_n",
         "no trade": "n_trade"}  # fmt: skip
CLOSES = ("mid", "spread_bps", "microprice", "imb_l0", "imb_top5")


def silver_of(seed, ts, options=ALL, symbol="A-B"):
    """Random silver rows that keep the catalogue's null rules, with the columns bars need."""
    rng = np.random.default_rng(seed)
    n = len(ts)
    values = {c.name: np.abs(rng.normal(size=n)) + 0.1 for c in statistics(options)}
    for name in values:
        if name.startswith("n_") or name.endswith("_n"):
            values[name] = rng.integers(0, 9, n).astype(float)
    values["n_pair"] = np.maximum(values["n_book"] - rng.integers(0, 2, n), 0)
    values["log_ret"] = rng.normal(size=n) * 1e-4
    values |= {name: rng.random(n) + 1 for name in CLOSES}
    for name, null in [(c.name, c.null) for c in statistics(options)] + [(name, "n_book = 0") for name in CLOSES]:
        if null in NULLS:
            values[name][values[NULLS[null]] == 0] = np.nan
    columns = {name: pl.Series(column, nan_to_null=True) for name, column in values.items()}
    return pl.DataFrame(
        {"exchange": ["demo"] * n, "symbol": [symbol] * n, "ts": pl.Series(ts, dtype=pl.Int64)} | columns
    )


def seconds(*numbers):
    return [MIDNIGHT + number * SECOND for number in numbers]


def bars_of(frame, bar_us):
    return frame.filter(pl.col("bar_us") == bar_us)


def test_defaults_give_the_catalogues_counts():
    assert len(bar_columns(ALL)) == 116
    assert len({column.name for column in bar_columns(ALL)}) == 116


def test_every_column_says_what_it_is_and_has_its_type():
    bars = compute_bars(silver_of(1, seconds(1, 2, 3, 60)), options=ALL)
    assert dict(bars.schema) == {column.name: column.dtype.polars for column in bar_columns(ALL)}
    assert all(column.description for column in bar_columns(ALL))


def test_a_row_on_an_edge_belongs_to_the_bar_it_ends():
    """Rows at 1 … 5 s make the bar stamped 5 s; the row at 6 s the next."""
    options = FeatureOptions(families="all", bar_durations=(5,))
    bars = compute_bars(silver_of(1, seconds(1, 5, 6, 10)), options=options)
    assert bars["ts"].to_list() == seconds(5, 10)
    assert bars["n_rows"].to_list() == [2, 2]


def test_a_bar_is_final_where_its_end_is_at_most_the_watermark():
    silver = silver_of(1, seconds(1, 2, 7))
    ends = {w: bars_of(compute_bars(silver, options=ALL, watermark_us=seconds(w)[0]), 5 * SECOND)["ts"].to_list()
            for w in (4, 5, 9, 10)}  # fmt: skip
    assert ends == {4: [], 5: seconds(5), 9: seconds(5), 10: seconds(5, 10)}
    assert bars_of(compute_bars(silver, options=ALL), 5 * SECOND)["ts"].to_list() == seconds(5)


def test_only_bars_after_an_instant():
    silver = silver_of(1, seconds(1, 2, 7, 10))
    bars = compute_bars(silver, options=ALL, from_us=seconds(5)[0])
    assert bars_of(bars, 5 * SECOND)["ts"].to_list() == seconds(10)
    assert bars_of(bars, SECOND)["ts"].to_list() == seconds(7, 10)


def test_a_bar_may_span_midnight():
    options = FeatureOptions(families="all", bar_durations=(14_400 * 5,))
    start = -(-MIDNIGHT // (14_400 * 5 * SECOND)) * 14_400 * 5 - 14_400 * 5
    ts = [start * SECOND + 14_400 * k * SECOND for k in range(1, 6)]
    assert ts[0] // DAY != ts[-1] // DAY
    bars = compute_bars(silver_of(1, ts), options=options)
    assert bars["n_rows"].to_list() == [5]
    assert bars["ts"].to_list() == [ts[-1]]


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sets(st.integers(1, 400), min_size=1, max_size=200),
)
def test_a_bar_is_the_rolling_window_at_its_end(seed, rows):
    """Catalogue 7: a bar of duration d equals the rolling feature of horizon d at the bar's end."""
    options = FeatureOptions(families="all", horizons=(1, 5, 30, 60), bar_durations=(1, 5, 30, 60))
    ts = seconds(*sorted(rows))
    silver = silver_of(seed, ts, options)
    bars = compute_bars(silver, options=options, watermark_us=MIDNIGHT + DAY)
    values = {c: silver[c].cast(pl.Float64).to_numpy() for c in silver.columns[3:]}
    bucket = np.array(ts) // SECOND - 1
    window_columns = [b for b in declared_columns(options) if b.declared.family != "bar"]
    for duration in (1, 5, 30, 60):
        of_duration = bars_of(bars, duration * SECOND)
        names = {f"{b.column.name}_{duration}s" for b in window_columns if duration >= b.declared.min_buckets}
        at = of_duration["ts"].to_numpy() // SECOND - 1
        rolling = rolling_values(bucket, values, 0, options, names, at=at)
        assert len(rolling) == len(names)
        for name, expected in rolling.items():
            found = of_duration[name.removesuffix(f"_{duration}s")].cast(pl.Float64).to_numpy()
            scale = np.nanmax(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * scale + 1e-14, err_msg=name)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 20))
def test_bars_in_steps_are_the_bars_at_once_to_the_bit(seed, cut):
    options = FeatureOptions(families="all", bar_durations=(1, 4, 6, 30))
    rng = np.random.default_rng(seed)
    ts = np.flatnonzero(rng.random(600) < 0.6) * SECOND + MIDNIGHT + SECOND
    silver = silver_of(seed, ts, options)
    at_once = compute_bars(silver, options=options, watermark_us=MIDNIGHT + 600 * SECOND).sort("bar_us", "ts")
    edges = [MIDNIGHT + second * SECOND for second in sorted({0, 600, *rng.integers(0, 600, cut).tolist()})]
    steps = [
        compute_bars(
            silver.filter(pl.col("ts").is_between(start - 30 * SECOND, stop, closed="right")),
            options=options,
            watermark_us=stop,
            from_us=start,
        )
        for start, stop in pairwise(edges)
    ]
    assert pl.concat(steps).sort("bar_us", "ts").equals(at_once), seed


def test_opens_are_first_closes_last_and_volumes_exact():
    options = FeatureOptions(families="all", bar_durations=(5,))
    silver = silver_of(1, seconds(1, 2, 3)).with_columns(
        n_book=pl.Series([0, 2, 0]),
        n_trade=pl.Series([1, 0, 2]),
        mid_first=pl.Series([None, 10.0, None]),
        mid_max=pl.Series([None, 12.0, None]),
        mid_min=pl.Series([None, 9.0, None]),
        mid=pl.Series([None, 11.0, None]),
        trade_first=pl.Series([10.5, None, 11.5]),
        trade_high=pl.Series([10.5, None, 11.75]),
        trade_low=pl.Series([10.5, None, 11.25]),
        trade_last=pl.Series([10.5, None, 11.25]),
        vol=pl.Series([0.1, 0.0, 0.2]),
        qvol=pl.Series([1.05, 0.0, 2.3]),
        buy_vol=pl.Series([0.1, 0.0, 0.2]),
    )
    bar = compute_bars(silver, options=options, watermark_us=seconds(5)[0]).to_dicts()[0]
    assert [bar[f"mid_{name}"] for name in ("open", "high", "low", "close")] == [10, 12, 9, 11]
    assert [bar[f"trade_{name}"] for name in ("open", "high", "low", "close")] == [10.5, 11.75, 10.5, 11.25]
    assert bar["vol"] == bar["buy_vol"] == 0.1 + 0.2
    assert bar["vwap"] == pytest.approx(3.35 / 0.3)
    assert bar["n_book"] == 2


def test_without_trades_volumes_are_null_and_with_none_they_are_zero():
    trades = [column.name for column in statistics(ALL) if column.trades]
    silver = silver_of(1, seconds(1, 2))
    uncollected = silver.with_columns(pl.lit(None, pl.Float64).alias(name) for name in trades)
    idle = silver.with_columns(pl.lit(0.0).alias(name) for name in trades if not name.startswith("trade_"))
    idle = idle.with_columns(pl.lit(None, pl.Float64).alias(f"trade_{x}") for x in ("first", "high", "low", "last"))
    first, second = (compute_bars(frame, options=ALL).to_dicts()[0] for frame in (uncollected, idle))
    assert (first["vol"], first["n_buy"], first["trade_open"], first["tfi"]) == (None, None, None, None)
    assert (second["vol"], second["n_buy"], second["trade_open"], second["tfi"]) == (0, 0, None, None)


def test_short_durations_have_null_where_a_feature_needs_more_buckets():
    bars = compute_bars(silver_of(1, seconds(*range(1, 11))), options=ALL)
    assert bars_of(bars, SECOND)["bpv"].null_count() == 10
    assert bars_of(bars, 5 * SECOND)["bpv"].null_count() == 0
    short = FeatureOptions(families="all", bar_durations=(1, 2))
    assert "bpv" not in {column.name for column in bar_columns(short)}


def test_several_instruments_are_apart():
    one, two = silver_of(1, seconds(1, 2, 5)), silver_of(2, seconds(1, 4, 5), symbol="C-D")
    together = compute_bars(pl.concat([one, two]).sample(fraction=1, shuffle=True, seed=1), options=ALL)
    apart = [compute_bars(frame, options=ALL) for frame in (one, two)]
    key = ("symbol", "bar_us", "ts")
    assert together.sort(key).equals(pl.concat(apart).sort(key))


def test_no_rows_give_no_bars_in_all_columns():
    bars = compute_bars(silver_of(1, []), options=ALL)
    assert bars.height == 0
    assert bars.columns == [column.name for column in bar_columns(ALL)]


def test_columns_follow_from_what_silver_stores():
    core, everything = (
        {column.name for column in bar_columns(FeatureOptions(families=families))} for families in ("core", "all")
    )
    stored = {column.name for column in silver_columns(FeatureOptions())}
    assert core < everything
    assert "bpv" in core
    assert everything - core == {
        "bid_add_sum", "bid_rem_sum", "ask_add_sum", "ask_rem_sum", "bid_cancel_sum", "ask_cancel_sum",
        "book_flow_imb", "resil_spread", "resil_depth", "eff_spread_bps", "through_share", "roll_spread_bps",
        "trade_burst",
    }  # fmt: skip
    assert all(bar.needs <= stored for bar in declared_columns(FeatureOptions()))


def test_groups_nest_where_durations_divide():
    ts = np.array(seconds(1, 2, 4, 5, 6, 12, 13))
    groupings, ends = nested_groups(ts, FeatureOptions(bar_durations=(2, 3, 6)))
    assert [(g.length, g.source) for g in groupings] == [(2, 0), (3, 0), (6, 3)]
    assert ends[6].tolist() == seconds(6, 12, 18)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda f: f.drop("log_ret", "vol"), "lacks 2 columns bars need: log_ret, vol", id="missing"),
        pytest.param(lambda f: f.drop("symbol"), "lacks 1 columns bars need: symbol", id="no key"),
        pytest.param(lambda f: f.with_columns(vol=pl.lit("a")), "not numbers: vol", id="text"),
        pytest.param(lambda f: f.with_columns(pl.col("ts").cast(pl.Float64)), "not numbers: ts", id="real time"),
        pytest.param(lambda f: f.with_columns(pl.col("ts") + 1), "not the end of a bucket", id="off the grid"),
        pytest.param(lambda f: f.with_columns(ts=pl.lit(None, pl.Int64)), "not the end of a bucket", id="no time"),
        pytest.param(lambda f: pl.concat([f, f]), "same ts", id="double"),
    ],
)
def test_bad_silver_is_one_error_with_its_remedy(change, message):
    with pytest.raises(DataError, match=message) as caught:
        compute_bars(change(silver_of(1, seconds(1, 2))), options=ALL)
    assert caught.value.remedy
