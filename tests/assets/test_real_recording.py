"""Silver and bars of a real recording: plausible ranges of every column, and a reason for each that says nothing.

The recording is Binance spot, 10.84 minutes over a UTC midnight, BTC/USDT and ETH/USDT, books of 50 levels ten times a
second. Ranges are the catalogue's where it gives one; prices and amounts are those of the two markets that night.
"""

import re
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_collector.config.features import FeatureOptions

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/binance_spot_20240808"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recording at {DATA.parent.name}/{DATA.name} beside the project"),
]

OPTIONS = FeatureOptions(families="all", depth_levels=50, tick_size=0.01, bar_durations=(1, 5, 30, 60, 300))
TINY = 1e-6


class Market(NamedTuple):
    """Prices and the most that was quoted or traded at once, of one instrument that night."""

    low: float
    high: float
    touch: float
    minute: float


MARKETS = {"btc": Market(61_500, 61_900, 20, 2_000), "eth": Market(2_670, 2_690, 500, 40_000)}


def ranges(market):
    """(pattern of names, low, high); the first that matches a whole name, without its window, counts."""
    low, high, touch, minute = market
    value = minute * high
    return [
        (r"ts|last_book_ts", 1_723_161_250_000_000, 1_723_161_960_000_000),
        (r"bar_us", 1_000_000, 300_000_000),
        (r"n_rows", 1, 300),
        (r"cover", 0, 1),
        # counts: the feed gives at most 10 books a second
        (r"n_break", 0, 1),
        (r"n_book_.*|n_trade_invalid|n_unsigned|n_inferred", 0, 0),
        (r"n_book|n_pair|lag_n", 0, 3010),
        (r"bid_levels|ask_levels", 50, 50),
        (r"n_mid_.*", 0, 11),
        (r"n_.*|.*_n", 0, 40_000),
        (r"sign_sum", -2_000, 2_000),
        # prices
        (r"(bid|ask)_price_l\d|mid|mid_.*(open|high|low|close|first|min|max)|microprice.*", low, high),
        (r"trade_(open|high|low|close|first|last)|vwap", low, high),
        (r"spread", 0.01 - TINY, 10),
        (r"spread_ticks", 1 - TINY, 1000),
        (r"spread_bps.*_m2", 0, 500),
        (r"spread_bps.*(?<!_std)|rs_mx", 0.001, 50),
        (r"spread_bps_std", 0, 20),
        (r"spread_z", -60, 60),
        (r"spread_tight_frac|spread_wide_frac|mid_up_frac|buy_count_frac", 0, 1),
        (r"micro_dev_bps_m2", 0, 500),
        (r"micro_dev_bps.*", -25, 25),
        (r"wmid_.*|cog_dev_bps", -50, 50),
        # sizes and shares
        (r"(bid|ask)_size_l\d", TINY, touch * 5),
        (r"(bid|ask)_depth_quote", 100, 100 * touch * high),
        (r"(bid|ask)_depth_.*|depth_near_mean|rd_mx", 0, 50 * touch),
        (r"depth_l0_mean|depth_lk_mean|depth_near_std|rd_my|depth_near_cv", -touch, 5 * touch),
        (r"depth_near_m2|rd_m2x|rd_cxy", -minute * minute, minute * minute),
        (r"imb_.*_m2", 0, 12),
        (r"imb_.*|slope_skew|wdist_skew|book_flow_imb|tfi|sign_ac1|sj_share|ofi_l0_ratio|trade_burst", -1, 1),
        (r"(bid|ask)_slope", 0, 1e6),
        (r"(bid|ask)_convexity", -0.5, 0.5),
        (r"(bid|ask)_hhi", 0.1, 1),
        (r"(bid|ask)_entropy", 0, 1),
        (r"(bid|ask)_(reach|wdist|gap)_bps", 0.0005, 50),
        (r"(buy|sell)_impact_bps_.*", 0.0005, 500),
        (r"impact_skew_bps_.*", -500, 500),
        # flows
        (r"pair_us|tight_us|wide_us", 0, 2_000_000),
        (r"log_ret", -0.01, 0.01),
        (r"velocity_bps", -10, 10),
        (r"accel_bps", -20, 20),
        (r"mid_range_bps", 0, 200),
        (r"tick_rv|ret_bv|rv|rsv_.*|bpv|rq", 0, 1e-4),
        (r"ret_ac1|ret_ac\d", -1, 1),
        (r"rvol|tick_rvol", 0, 1e-2),
        (r"noise_ratio", 0, 500),
        (r"vr5", -0.5, 5),
        (r"path_eff|jump_share|ofi_r2|kyle_r2|large_share|max_share|trade_hhi|through_share|vpin_time", 0, 1),
        (r"rvol_ratio|quote_rate_ratio|trade_rate_ratio", 0, 60),
        (r"ofi_l0_norm", -300, 300),
        (r"ofi_multi_norm", -5_000, 5_000),
        (r"ofi_.*sum|ofi_l\d|of_.*", -minute, minute),
        (r"ofi_abs_l0|(bid|ask)_(add|rem|cancel).*", 0, 10 * minute),
        (r"ofi_beta", -5, 5),
        (r"tw_spread", 0, 2e7),
        (r"tw_imb", -2e6, 2e6),
        (r"rs_m2x|rs_my|rs_cxy", -1000, 1000),
        (r"resil_depth", -1, 2),
        (r"resil_spread", -1e6, 1e6),  # a one-tick spread in bps hardly varies before it jumps: the slope is a quotient of rounding
        # trades
        (r"signed_qvol", -value, value),
        (r"qvol|.*_qvol", 0, value),
        (r"vol|buy_vol|sell_vol|es_vol|through_vol", 0, minute),
        (r"vol_sq", 0, minute * minute),
        (r"es_wsum|roll_sum", -minute * 50, minute * 50),
        (r"eff_spread_bps", -5, 50),
        (r"roll_spread_bps", 0, 50),
        (r"vwap_dev_bps", -50, 50),
        (r"turnover_l0", 0, 1000),
        (r"kyle_lambda", -1e-2, 1e-2),
        (r"amihud", 0, 5e-2),  # a second with one dust trade
        (r"quote_rate", 0, 50),
        (r"trade_rate", 0, 1500),  # a sweep prints a thousand fills in one second
        (r"quote_trade_ratio", 1e-3, 1e3),
        # times: the recorder's clock ran 1.27 s behind the exchange's
        (r"dur_mean", 0, 10),
        (r"dur_m2", 0, 100),
        (r"lag_ms_m2", 0, 1e5),
        (r"lag_ms_std", 0, 100),
        (r"lag_ms.*|trade_lag_ms_mean", -1300, -1000),
        (r"trade_lag_sum", -1300 * 2000, 0),
        (r"book_age_us|trade_age_us|mid_age_us", 0, 60_000_000),
        (r"hour_utc", 0, 23),
        (r"dow_utc", 3, 4),
        (r"is_weekend", 0, 0),
        (r".*_(sin|cos)", -1, 1),
    ]  # fmt: skip


REASONS = {
    r"n_book_(crossed|locked|onesided|malformed|dup)|n_trade_invalid": "the recording has no invalid book or trade",
    r"n_unsigned|n_inferred": "every trade tells its side",
    r"(bid|ask)_levels": "every book has 50 levels or more",
    r"((bid|ask)_depth|imb)_(5_10|10_25|25_50)bps": "50 levels reach 6 bps: the bands beyond are not visible",
    r"wide_us|spread_wide_frac(_\d+s)?": "a one-tick market is never as wide as 10 bps",
    r"is_weekend": "recorded from a Thursday to a Friday",
}


@pytest.fixture(scope="module", params=MARKETS)
def recording(request):
    """Name of the market, its silver and bars."""
    stem = f"binance_spot_{request.param}usdt_20240808-09"
    book, trades = (pl.read_parquet(DATA / f"{stem}_{what}.parquet") for what in ("book", "trades"))
    silver = compute_silver(book, trades, options=OPTIONS)
    return request.param, silver, compute_bars(silver, options=OPTIONS)


def numeric(frame):
    return [name for name, dtype in frame.schema.items() if dtype.is_numeric()]


def test_every_value_is_plausible(recording):
    market, *frames = recording
    limits = ranges(MARKETS[market])
    wrong = []
    for frame in frames:
        for name in numeric(frame):
            bare = re.sub(r"_\d+s$", "", name)
            low, high = next(((lo, hi) for pattern, lo, hi in limits if re.fullmatch(pattern, bare)), (1, 0))
            slack = 1e-12 * max(abs(low), abs(high))  # a share summed in floats may end an ulp above 1
            least, most = frame[name].min(), frame[name].max()
            if least is not None and not low - slack <= least <= most <= high + slack:
                wrong.append((name, least, most, (low, high)))
    assert wrong == []


def test_a_column_that_says_nothing_has_its_reason(recording):
    _, silver, _ = recording
    silent = [name for name in numeric(silver) if silver[name].drop_nulls().n_unique() <= 1]
    assert [name for name in silent if not any(re.fullmatch(pattern, name) for pattern in REASONS)] == []


def test_a_bar_column_that_says_nothing_has_its_reason(recording):
    _, _, bars = recording
    silent = [name for name in numeric(bars) if bars[name].drop_nulls().n_unique() <= 1]
    assert [name for name in silent if not any(re.fullmatch(pattern, name) for pattern in REASONS)] == []


def test_buyers_push_the_price_up(recording):
    """Were sides or flows inverted, these signs would be wrong (pitfall of the catalogue's 7.7)."""
    _, silver, _ = recording
    assert silver.select(pl.corr("tfi_5s", "log_ret_5s")).item() > 0.3
    assert silver.select(pl.corr("ofi_l0_norm_5s", "log_ret_5s")).item() > 0.3
    assert silver["ofi_beta_60s"].median() > 0
    assert silver["kyle_lambda_60s"].median() > 0
    assert silver["eff_spread_bps_60s"].median() > 0


def test_nothing_is_lost_between_events_silver_and_bars(recording):
    market, silver, bars = recording
    stem = f"binance_spot_{market}usdt_20240808-09"
    book, trades = (pl.read_parquet(DATA / f"{stem}_{what}.parquet") for what in ("book", "trades"))
    assert silver["n_book"].sum() == book.height
    assert silver["n_trade"].sum() == trades.height
    assert silver["vol"].sum() == pytest.approx(trades["amount"].sum(), rel=1e-12)
    one_second = bars.filter(bar_us=1_000_000)
    assert one_second["vol"].sum() == pytest.approx(trades["amount"].sum(), rel=1e-12)
