"""Families J to P by hand: one window each, ordinary, null and extreme."""

import math

import pytest

NAN = math.nan
RETURNS = {
    "log_ret": [1e-4, -2e-4, 1e-4, 1e-4, -1e-4, 0],
    "ret_bv": [0, 2e-8, 2e-8, 1e-8, 1e-8, 0],
    "ret_ac1": [0, -2e-8, -2e-8, 1e-8, -1e-8, 0],
    "ret_ac2": [0, 0, 1e-8, -2e-8, -1e-8, 0],
    "tick_rv": [4e-8, 4e-8, 4e-8, 0, 0, 4e-8],
}
V = 8e-8
STILL = {name: [0.0] * 6 for name in RETURNS}
FLOW = {"ofi_l0": [1, 2, 0, -1, 3, -2], "ofi_abs_l0": [1, 2, 4, 1, 3, 2], "log_ret": [1e-4, 2e-4, 5e-4, 0, 3e-4, -2e-4]}
XY, XX, YY = 1 + 4 + 0 + 0 + 9 + 4, 1 + 4 + 0 + 1 + 9 + 4, 1 + 4 + 25 + 0 + 9 + 4
TRADES = {
    "vol": [2, 0, 3], "qvol": [200, 0, 303], "buy_vol": [2, 0, 1], "sell_vol": [0, 0, 1], "buy_qvol": [200, 0, 101],
    "sell_qvol": [0, 0, 101], "n_buy": [2, 0, 1], "n_sell": [0, 0, 1], "n_trade": [2, 0, 3], "vol_sq": [2, 0, 3],
    "large_qvol": [0, 0, 101], "max_qvol": [120, 0, 101], "mid": [100, 100.5, NAN], "n_book": [1, 1, 0],
    "depth_l0_mean": [4, 6, NAN], "es_wsum": [6, 0, 4], "es_vol": [2, 0, 2], "through_vol": [1, 0, 0],
    "sign_n": [3, 0, 2], "sign_sum": [3, 0, -2], "roll_n": [4, 0, 6], "roll_sum": [-5e-8, 0, -5e-8],
    "dur_n": [2, 0, 3], "dur_mean": [1, NAN, 1], "dur_m2": [0, NAN, 0], "log_ret": [1e-4, NAN, -1e-4],
    "n_pair": [1, 0, 1],
}  # fmt: skip
IDLE = {name: [0.0] * 3 for name in TRADES} | {"mid": [100.0] * 3, "n_book": [1] * 3, "n_pair": [1] * 3}


@pytest.mark.parametrize(
    ("name", "rows", "options", "expected"),
    [
        # J
        ("n_book", {"n_book": [3, 0, 2]}, {}, 5),
        ("cover", {"pair_us": [400_000, 1_400_000]}, {}, 0.9),
        ("cover", {"pair_us": [400_000, 9_000_000]}, {}, 1),
        ("quote_rate", {"n_book": [3, 0, 2]}, {"buckets": 10}, 0.5),
        ("quote_trade_ratio", {"n_book": [3], "n_trade": [2]}, {}, 1.5),
        ("quote_trade_ratio", {"n_book": [3], "n_trade": [0]}, {}, None),
        ("trade_rate", {"n_trade": [3]}, {"has_trades": False}, None),
        # K
        ("log_ret", RETURNS, {}, 0),
        ("velocity_bps", {"log_ret": [1e-4, NAN], "n_pair": [1, 0]}, {}, 0.5),
        ("velocity_bps", {"log_ret": [NAN], "n_pair": [0]}, {}, None),
        ("mid_range_bps", {"mid_max": [101, 102], "mid_min": [100, 101]}, {}, 1e4 * math.log(1.02)),
        ("path_eff", {"log_ret": [2e-4, -1e-4, 2e-4]}, {}, 0.6),
        ("path_eff", STILL, {}, None),
        ("mid_up_frac", {"n_mid_up": [1, 2], "n_mid_dn": [1, 0]}, {}, 0.75),
        ("mid_up_frac", {"n_mid_up": [0, 0], "n_mid_dn": [0, 0]}, {}, None),
        # L
        ("rvol", RETURNS, {}, math.sqrt(V)),
        ("tick_rvol", RETURNS, {}, 4e-4),
        ("noise_ratio", RETURNS, {}, 2),
        ("noise_ratio", STILL, {}, None),
        ("rsv_up", RETURNS, {}, 3e-8),
        ("rsv_dn", RETURNS, {}, 5e-8),
        ("sj_share", RETURNS, {}, -0.25),
        ("bpv", RETURNS, {}, math.pi / 2 * 6e-8),
        ("jump_share", RETURNS, {}, 0),
        ("jump_share", RETURNS | {"ret_bv": [0] * 6}, {}, 1),
        ("jump_share", {name: values[:4] for name, values in RETURNS.items()}, {}, None),
        ("rq", RETURNS, {}, 2 * 20e-16),
        ("ret_ac1", RETURNS, {}, -0.5),
        ("vr3", RETURNS, {"vr_q": 3}, 1 + 2 * (2 / 3 * -4e-8 + 1 / 3 * -2e-8) / V),
        # M
        ("ofi_l0_sum", FLOW, {}, 3),
        ("ofi_l0_ratio", FLOW, {}, 3 / 13),
        ("ofi_l0_ratio", {"ofi_l0": [0], "ofi_abs_l0": [0]}, {}, None),
        ("ofi_l0_norm", FLOW | {"depth_l0_mean": [4, 4, 4, 6, 6, 6]}, {}, 0.6),
        ("ofi_beta", FLOW, {}, XY / XX),
        ("ofi_r2", FLOW, {}, XY**2 / (XX * YY)),
        ("ofi_beta", {name: values[:5] for name, values in FLOW.items()}, {}, None),
        ("ofi_r2", FLOW | {"log_ret": [0] * 6}, {}, None),
        ("ofi_multi_sum", {"ofi_l0": [1, 1], "ofi_l1": [2, -3]}, {"ofi_levels": 2}, 1),
        (
            "ofi_decay_sum", {"ofi_l0": [1, 1], "ofi_l1": [2, -3]}, {"ofi_levels": 2},
            (2 - math.exp(-0.5)) / (1 + math.exp(-0.5)),
        ),
        # N
        ("bid_add_sum", {"bid_add": [1, NAN], "n_pair": [1, 0]}, {}, 1),
        ("bid_cancel_sum", {"bid_rem": [5, 1], "sell_vol": [0, 2]}, {}, 4),
        ("ask_cancel_sum", {"ask_rem": [1], "buy_vol": [2]}, {}, 0),
        ("ask_cancel_sum", {"ask_rem": [1], "buy_vol": [2]}, {"has_trades": False}, None),
        ("book_flow_imb", {"bid_add": [2], "ask_rem": [1], "ask_add": [1], "bid_rem": [0]}, {}, 0.5),
        ("book_flow_imb", {"bid_add": [0], "ask_rem": [0], "ask_add": [0], "bid_rem": [0]}, {}, None),
        # O
        ("spread_bps_mean", {"spread_bps_mean": [1, 4], "spread_bps_m2": [0, 0], "n_book": [2, 1]}, {}, 2),
        ("spread_bps_std", {"spread_bps_mean": [1, 4], "spread_bps_m2": [0, 0], "n_book": [2, 1]}, {}, math.sqrt(3)),
        ("spread_bps_twa", {"tw_spread": [3e6, 1e6], "pair_us": [1e6, 1e6]}, {}, 2),
        ("spread_bps_twa", {"tw_spread": [0], "pair_us": [0]}, {}, None),
        ("spread_tight_frac", {"tight_us": [1e6, 0], "pair_us": [1e6, 1e6]}, {}, 0.5),
        ("spread_wide_frac", {"wide_us": [0, 0], "pair_us": [1e6, 1e6]}, {}, 0),
        ("imb_l0_twa", {"tw_imb": [-1e6], "pair_us": [2e6]}, {}, -0.5),
        ("imb_top5_mean", {"imb_top5_mean": [0.5], "imb_top5_m2": [0]}, {}, 0.5),
        ("depth_near_cv", {"depth_near_mean": [4, 0], "depth_near_m2": [0, 0]}, {}, math.sqrt(2)),
        ("depth_near_cv", {"depth_near_mean": [0, 0], "depth_near_m2": [0, 0]}, {}, None),
        ("lag_ms_max", {"lag_ms_max": [-3, -1]}, {}, -1),
        ("lag_ms_mean", {"lag_ms_mean": [NAN], "lag_ms_m2": [NAN], "lag_n": [0]}, {}, None),
        ("trade_lag_ms_mean", {"trade_lag_sum": [6, 0], "trade_lag_n": [3, 0]}, {}, 2),
        # P
        ("signed_qvol", TRADES, {}, 200),
        ("tfi", TRADES, {}, 0.5),
        ("tfi", IDLE, {}, None),
        ("buy_count_frac", TRADES, {}, 0.75),
        ("vwap_dev_bps", TRADES, {}, 1e4 * (100.6 / 100.5 - 1)),
        ("vwap_dev_bps", IDLE, {}, None),
        ("large_share", TRADES, {}, 101 / 503),
        ("max_share", TRADES, {}, 120 / 503),
        ("trade_hhi", TRADES, {}, 0.2),
        ("turnover_l0", TRADES, {}, 1),
        ("turnover_l0", TRADES | {"n_book": [0, 0, 0]}, {}, None),
        ("eff_spread_bps", TRADES, {}, 2.5),
        ("eff_spread_bps", IDLE, {}, None),
        ("through_share", TRADES, {}, 0.25),
        ("sign_ac1", TRADES, {}, 0.2),
        ("sign_ac1", TRADES | {"sign_n": [2, 0, 2]}, {}, None),
        ("roll_spread_bps", TRADES, {}, 2e4 * 1e-4),
        ("roll_spread_bps", TRADES | {"roll_sum": [5e-8, 0, 0]}, {}, 0),
        ("roll_spread_bps", TRADES | {"roll_n": [4, 0, 5]}, {}, None),
        ("trade_burst", TRADES, {}, -1),
        ("trade_burst", TRADES | {"dur_mean": [0, NAN, 0]}, {}, None),
        ("amihud", TRADES, {}, 2 / 503),
        ("amihud", IDLE, {}, None),
        ("kyle_lambda", TRADES, {}, None),
        ("vpin_time", TRADES, {}, 0.5),
    ],
)  # fmt: skip
def test_value(name, rows, options, expected, windowed):
    value = windowed(name, rows, **options)
    assert value == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))


@pytest.mark.parametrize(("prefix", "name"), [("rs", "resil_spread"), ("rd", "resil_depth")])
@pytest.mark.parametrize(
    ("n_pair", "m2x", "expected"),
    [
        pytest.param(10, 4, 0.5, id="ordinary"),
        pytest.param(9, 4, None, id="too few pairs"),
        pytest.param(10, 1e-20, None, id="constant"),
    ],
)
def test_resiliency(prefix, name, n_pair, m2x, expected, windowed):
    rows = {"n_pair": [n_pair], f"{prefix}_mx": [3], f"{prefix}_my": [0], f"{prefix}_m2x": [m2x], f"{prefix}_cxy": [-2]}
    assert windowed(name, rows) == expected


def test_kyles_lambda_needs_five_buckets_with_signed_value(windowed):
    rows = {
        "buy_qvol": [1, 0, 3, 0, 5],
        "sell_qvol": [0, 2, 0, 4, 0],
        "log_ret": [1e-4, -2e-4, 3e-4, -4e-4, 5e-4],
    }
    assert windowed("kyle_lambda", rows) == pytest.approx(1)
    assert windowed("kyle_r2", rows) == pytest.approx(1)
    assert windowed("kyle_r2", rows | {"log_ret": [0] * 5}) is None
    assert windowed("kyle_lambda", rows | {"sell_qvol": [1, 2, 0, 4, 0]}) is None
