"""Rolling columns: their names and number, windows on sparse rows, instants without a row, and cuts that change no bit."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxforge_assets.features.rolling import CHUNK_BUCKETS, rolling_columns, rolling_values, window_suffix
from fluxforge_assets.features.statistics import statistics
from fluxforge_collector.config.features import FeatureOptions

OPTIONS = FeatureOptions(hf_emit_interval=0.5, horizons=(0.5, 2.5, 7, 30), max_levels=3, ofi_levels=2)
NULLS = {"n_pair = 0": "n_pair", "n_book = 0": "n_book", "lag_n = 0": "lag_n", "dur_n = 0": "dur_n",
         "no trade": "n_trade"}  # fmt: skip


def rows_of(seed, count, density):
    """Sparse buckets and random statistics that keep the catalogue's null rules."""
    rng = np.random.default_rng(seed)
    buckets = np.flatnonzero(rng.random(int(count / density)) < density) + 3_520_000_000
    n = len(buckets)
    values = {c.name: np.abs(rng.normal(size=n)) + 0.1 for c in statistics(OPTIONS)}
    for name in values:
        if name.startswith("n_") or name.endswith("_n"):
            values[name] = rng.integers(0, 9, n).astype(float)
    values["n_pair"] = np.maximum(values["n_book"] - rng.integers(0, 2, n), 0)
    values["log_ret"] = rng.normal(size=n) * 1e-4
    values |= {"mid": rng.random(n) + 100, "spread_bps": rng.random(n)}
    for name, null in [(c.name, c.null) for c in statistics(OPTIONS)] + [
        ("mid", "n_book = 0"),
        ("spread_bps", "n_book = 0"),
    ]:
        if null in NULLS:
            values[name][values[NULLS[null]] == 0] = np.nan
    return buckets, values


def cut(values, part):
    return {name: column[part] for name, column in values.items()}


NAMES = {column.name for column in rolling_columns(OPTIONS)}


@pytest.mark.parametrize(
    ("window_us", "suffix"),
    [(5_000_000, "_5s"), (500_000, "_500ms"), (1500_000, "_1500ms"), (250, "_250us"), (3_600_000_000, "_3600s")],
)
def test_suffix(window_us, suffix):
    assert window_suffix(window_us) == suffix


def test_defaults_give_the_catalogues_counts():
    columns = rolling_columns(FeatureOptions())
    counts = Counter(column.family for column in columns)
    assert counts == {"J": 24, "K": 19, "L": 33, "M": 30, "N": 28, "O": 94, "P": 71, "Q": 17}
    assert len({column.name for column in columns}) == len(columns)


def test_every_column_says_what_it_is():
    for column in rolling_columns(FeatureOptions()):
        assert column.description, column.name
        assert column.unit, column.name
        assert column.formula, column.name


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), density=st.sampled_from([1.0, 0.4, 0.02]), chunk=st.integers(13, 80))
def test_where_rows_are_cut_changes_no_bit(seed, density, chunk):
    buckets, values = rows_of(seed, 120, density)
    whole = rolling_values(buckets, values, 0, OPTIONS, NAMES)
    reach = 2 * OPTIONS.horizons_us[-1] // OPTIONS.bucket_us
    for start in range(0, len(buckets), chunk):
        stop = min(start + chunk, len(buckets))
        first = int(np.searchsorted(buckets, buckets[start] - reach))
        part = rolling_values(buckets[first:stop], cut(values, slice(first, stop)), start - first, OPTIONS, NAMES)
        for name in NAMES:
            assert part[name].tobytes() == whole[name][start:stop].tobytes(), (name, seed)


def test_a_grid_in_chunks_is_the_grid_at_once():
    buckets, values = rows_of(1, 2 * CHUNK_BUCKETS, 0.9)
    whole = rolling_values(buckets, values, 0, OPTIONS, NAMES)
    across = slice(CHUNK_BUCKETS // 2, CHUNK_BUCKETS)
    part = rolling_values(buckets[across], cut(values, across), 200, OPTIONS, NAMES)
    for name, column in part.items():
        assert column.tobytes() == whole[name][across][200:].tobytes(), name


def test_an_instant_without_a_row_has_the_window_before_it():
    buckets, values = rows_of(2, 400, 0.3)
    at = np.arange(buckets[0], buckets[-1] + 200)
    dense = rolling_values(buckets, values, 0, OPTIONS, NAMES, at=at)
    own = rolling_values(buckets, values, 0, OPTIONS, NAMES)
    where = np.searchsorted(at, buckets)
    for name in NAMES:
        assert dense[name][where].tobytes() == own[name].tobytes(), name
    assert dense["n_book_30s"][-1] == 0
    assert dense["cover_30s"][-1] == 0
    assert dense["vol_30s"][-1] == 0
    for name in ("log_ret_30s", "spread_bps_mean_30s", "mid_range_bps_30s", "tfi_30s", "accel_bps_30s"):
        assert np.isnan(dense[name][-1]), name


def test_windows_never_see_rows_at_or_before_their_left_edge():
    buckets = np.array([100, 105, 106])
    _, values = rows_of(3, 3, 1.0)
    values = cut(values, slice(0, 3)) | {"n_book": np.array([1.0, 2.0, 4.0])}
    found = rolling_values(buckets, values, 0, OPTIONS, {"n_book_2500ms", "n_book_500ms"})
    assert found["n_book_2500ms"].tolist() == [1, 2, 6]
    assert found["n_book_500ms"].tolist() == [1, 2, 4]


def test_acceleration_compares_neighbouring_windows():
    buckets = np.arange(10, 14)
    _, values = rows_of(4, 4, 1.0)
    values = cut(values, slice(0, 4)) | {
        "log_ret": np.array([1e-4, 3e-4, 2e-4, np.nan]),
        "n_pair": np.array([1, 1, 1, 0.0]),
    }
    accel = rolling_values(buckets, values, 0, OPTIONS, {"accel_bps_500ms"})["accel_bps_500ms"]
    assert accel[1:3] == pytest.approx([8, -4])
    assert np.isnan(accel[[0, 3]]).all()


def test_spread_score_is_null_for_rows_without_a_book_short_windows_and_constant_spreads():
    buckets = np.arange(4)
    _, values = rows_of(5, 4, 1.0)
    values = cut(values, slice(0, 4)) | {
        "n_book": np.array([4.0, 4.0, 0.0, 4.0]),
        "spread_bps": np.array([1.0, 3.0, np.nan, 1.0]),
        "spread_bps_mean": np.array([1.0, 3.0, np.nan, 1.0]),
        "spread_bps_m2": np.array([0.0, 0.0, np.nan, 0.0]),
    }
    score = rolling_values(buckets, values, 0, OPTIONS, {"spread_z_2500ms"})["spread_z_2500ms"]
    assert score[1] == pytest.approx(1 / np.sqrt(8 / 7))
    assert np.isnan(score[[0, 2]]).all()
    same = values | {name: np.where(np.isnan(values[name]), np.nan, 1.0) for name in ("spread_bps", "spread_bps_mean")}
    assert np.isnan(rolling_values(buckets, same, 0, OPTIONS, {"spread_z_2500ms"})["spread_z_2500ms"]).all()


def test_ratios_to_the_longest_horizon_do_not_exist_for_it():
    names = {
        name for name in NAMES if "_ratio_" in name and name.split("_ratio_")[0] in {"quote_rate", "trade_rate", "rvol"}
    }
    assert names == {
        f"{ratio}_ratio_{h}" for ratio in ("quote_rate", "trade_rate", "rvol") for h in ("500ms", "2500ms", "7s")
    }


def test_without_trades_only_trade_columns_are_null():
    buckets, values = rows_of(6, 100, 1.0)
    trades = {column.name for column in statistics(OPTIONS) if column.trades}
    values |= {name: np.full(len(buckets), np.nan) for name in trades}
    found = rolling_values(buckets, values, 0, OPTIONS, NAMES)
    for column in rolling_columns(OPTIONS):
        assert np.isnan(found[column.name]).all() == column.trades, column.name


def test_no_rows_give_no_values():
    found = rolling_values(np.empty(0, np.int64), {}, 0, OPTIONS, {"n_book_30s"})
    assert found["n_book_30s"].tolist() == []
