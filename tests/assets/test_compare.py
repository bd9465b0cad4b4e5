"""The judge judged: what section 18 does not allow is seen, what it allows is not."""

import pytest
from support.compare import differences

ROWS = [
    {
        "exchange": "demo", "symbol": "A", "ts": ts, "n_book": 3, "mid": 100.0 + ts, "rq_5s": 1e-13 * ts,
        "log_ret": 1e-5 * ts, "spread_bps_mean": 2.0, "spread_bps_m2": 0.5, "imb_l0": None, "vr5_60s": 0.3,
        "spread_bps_std_5s": 0.5,
    }
    for ts in (1, 2, 3)
]  # fmt: skip


def changed(**values):
    return [ROWS[0], ROWS[1] | values, ROWS[2]]


@pytest.mark.parametrize(
    "values",
    [
        {"mid": 102.0 * (1 + 1e-8)},
        {"n_book": 4},
        {"rq_5s": 2.001e-13},
        {"log_ret": 2e-5 + 1e-11},
        {"imb_l0": 0.0},
        {"mid": None},
        {"mid": float("nan")},
        {"spread_bps_m2": 0.5 + 1e-8},
        {"vr5_60s": 0.300_001},
        {"spread_bps_std_5s": 0.500_01},
        {"exchange": "other"},
        {"ts": 4},
    ],
    ids=str,
)
def test_a_wrong_value_is_seen(values):
    assert differences(ROWS, changed(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"mid": 102.0 * (1 + 1e-12)},
        {"rq_5s": 2e-13 * (1 + 1e-10)},
        {"log_ret": 2e-5 + 1e-15},
        {"spread_bps_m2": 0.5 + 1e-11},
        {"vr5_60s": 0.3 + 1e-8},
        {"spread_bps_std_5s": 0.5 + 1e-7},
    ],
    ids=str,
)
def test_rounding_is_not(values):
    assert differences(ROWS, changed(**values)) == []


def test_a_column_or_row_too_few_or_too_many_is_seen():
    without = [{k: v for k, v in row.items() if k != "mid"} for row in ROWS]
    assert differences(ROWS, without)
    assert differences(without, ROWS)
    assert differences(ROWS, ROWS[:2])
    assert differences([], ROWS)
