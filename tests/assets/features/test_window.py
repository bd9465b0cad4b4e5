"""Null rules, grid sums and deviations of one window."""

import numpy as np
import pytest

from fluxforge_assets.features.grouping import Grouped, Grouping
from fluxforge_assets.features.window import GRID_SUMS, Merged, Window, divide_above, where_at_least
from fluxforge_collector.config.features import FeatureOptions

NAN = np.nan


def window(columns, *, has_trades=True):
    n = len(next(iter(columns.values())))
    columns = {name: np.array(values, float) for name, values in columns.items()}
    return Window(Merged(columns, Grouped([Grouping(n, 0, np.array([0]))]), FeatureOptions(), has_trades), n, n)


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        pytest.param("log_ret", {"log_ret": [NAN, 0.1], "n_pair": [0, 1]}, 0.1, id="null is skipped"),
        pytest.param("log_ret", {"log_ret": [NAN, NAN], "n_pair": [0, 0]}, None, id="null if all are"),
        pytest.param("mid_max", {"mid_max": [NAN, NAN], "n_book": [0, 0]}, None, id="no book"),
        pytest.param("mid_min", {"mid_min": [3, NAN], "n_book": [1, 0]}, 3, id="least of what is there"),
        pytest.param("mid_first", {"mid_first": [NAN, 4], "n_book": [0, 2]}, 4, id="first that is there"),
        pytest.param("mid", {"mid": [7, NAN], "n_book": [1, 0]}, 7, id="last that is there"),
        pytest.param("trade_low", {"trade_low": [NAN, NAN], "n_trade": [0, 0]}, None, id="no trade"),
        pytest.param("max_qvol", {"max_qvol": [0, 0]}, 0, id="0 where nothing traded"),
        pytest.param("pair_us", {"pair_us": [0, 0]}, 0, id="never null"),
        pytest.param("lag_ms_mean", {"lag_ms_mean": [NAN, 4], "lag_ms_m2": [NAN, 0], "lag_n": [0, 2]}, 4, id="mean"),
    ],
)
def test_null_rule(name, columns, expected):
    value = window(columns)[name][0]
    assert (None if np.isnan(value) else value) == expected


def test_without_a_trades_feed_trade_statistics_are_null():
    assert np.isnan(window({"vol": [0, 0]}, has_trades=False)["vol"]).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n_rows", 4),
        ("abs_ret", 3e-4),
        ("ret_sq", 5e-8),
        ("ret_sq_up", 4e-8),
        ("ret_sq_dn", 1e-8),
        ("ret_4", 17e-16),
        ("n_moved", 2),
        ("ofi_all", 13.5),
        ("ofi_xx", 14),
        ("ofi_xy", 1 * 2 - 2 * -1),
        ("ofi_nx", 2),
        ("trade_xx", 5),
        ("trade_xy", 2 * 2 + 1 * -1),
        ("trade_nx", 2),
        ("net_vol", 9),
    ],
)
def test_grid_sum(name, expected):
    """Four buckets; the last is not observed, and only sums over all rows see it."""
    columns = {
        "log_ret": [2e-4, -1e-4, 0, NAN],
        "n_pair": [1, 1, 1, 0],
        "ofi_l0": [1, -2, 3, NAN],
        "ofi_abs_l0": [1, 2, 3e9 * 1.5, NAN],
        "buy_qvol": [3, 1, 1, 9],
        "sell_qvol": [1, 0, 1, 0],
        "buy_vol": [3, 1, 1, 6],
        "sell_vol": [1, 0, 1, 0],
    } | {f"ofi_l{k}": [10.5 if k == 3 else 0, 0, 1 if k == 5 else 0, NAN] for k in range(1, 10)}
    assert name in GRID_SUMS
    assert window(columns)[name][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("m2", "mean", "n", "expected"),
    [
        pytest.param(8, 1, 3, 2, id="ordinary"),
        pytest.param(0, 1, 1, None, id="one event"),
        pytest.param(2 * (1e-7) ** 2, 1, 3, 0, id="rounding of a constant"),
        pytest.param(2 * (1.1e-7) ** 2, 1, 3, 1.1e-7, id="just more than rounding"),
        pytest.param(2e-30, 0, 3, 1e-15, id="about zero"),
    ],
)
def test_deviation(m2, mean, n, expected):
    value = window({"spread_bps_m2": [m2], "spread_bps_mean": [mean], "n_book": [n]}).std("spread_bps", "n_book")[0]
    assert (None if np.isnan(value) else value) == (None if expected is None else pytest.approx(expected, rel=1e-9))


def test_thresholds_exclude_what_is_not_above_or_not_enough():
    assert np.isnan(divide_above(np.ones(3), np.array([1e-24, NAN, 0.0]), 1e-24)).all()
    assert divide_above(np.ones(1), np.array([2e-24]), 1e-24)[0] == pytest.approx(5e23)
    kept = where_at_least(np.array([4.0, 5.0, NAN]), 5, np.ones(3))
    assert np.isnan(kept).tolist() == [True, False, True]
