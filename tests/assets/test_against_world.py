"""Features against independent implementations: numpy, scipy, statsmodels, or a calculation written out here.

Each test says where its expected value comes from. The recordings are clean and made here, so that the text-book
definition applies without the catalogue's rules on gaps and dirt.
"""

import numpy as np
import polars as pl
import pytest
import scipy.integrate
import scipy.signal
import scipy.stats
import statsmodels.api as sm
from support.dirty import START_US, book_frame, trade_frame

from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.gold import compute_vpin
from fluxforge_collector.config.features import FeatureOptions

S = 1_000_000
KEY = {"exchange": "demo", "symbol": "AAA/USD"}
OPTIONS = FeatureOptions(families="all", max_levels=6, ofi_levels=6, depth_levels=8, horizons=(1, 60, 300))
START = START_US // (300 * S) * 300 * S
SEED = 314


class World:
    """300 s of a book twice a second and trades between, as arrays and as the product's silver."""

    def __init__(self):
        rng = np.random.default_rng(SEED)
        n = 600
        self.ts = START + np.arange(n) * S // 2
        steps = rng.integers(-3, 4, n)
        tick = np.cumsum(steps) + 10_000
        gap = rng.integers(1, 4, n)
        self.bid = np.round(np.array([tick - i for i in range(8)]) * 0.01, 2)
        self.ask = np.round(np.array([tick + gap + i for i in range(8)]) * 0.01, 2)
        self.bid_size, self.ask_size = (np.round(rng.lognormal(1, 0.7, (8, n)) + 0.01, 2) for _ in range(2))
        self.mid = (self.bid[0] + self.ask[0]) / 2
        self.trade_ts = np.sort(START + rng.integers(S // 2, 300 * S, 900))
        before = np.searchsorted(self.ts, self.trade_ts, side="left") - 1
        self.sign = rng.choice([-1, 1], 900)
        self.price = np.where(self.sign > 0, self.ask[0][before], self.bid[0][before])
        self.amount = np.round(rng.lognormal(0, 1, 900) + 0.01, 3)
        self.trade_mid = self.mid[before]
        self.bucket = (self.trade_ts - START) // S
        self.silver = compute_silver(self.books(), self.trades(), options=OPTIONS)
        self.last = self.silver.row(-1, named=True)
        self.returns = np.diff(np.log(self.mid[1::2]), prepend=np.log(self.mid[0]))

    def books(self):
        def side(prices, sizes, i):
            return list(zip(prices[:, i].tolist(), sizes[:, i].tolist(), strict=True))

        return book_frame(
            [
                KEY
                | {
                    "capture_ts": int(ts),
                    "exchange_ts": None,
                    "nonce": None,
                    "seq": i,
                    "bids": side(self.bid, self.bid_size, i),
                    "asks": side(self.ask, self.ask_size, i),
                }
                for i, ts in enumerate(self.ts)
            ]
        )

    def trades(self):
        return trade_frame(
            [
                KEY
                | {
                    "capture_ts": int(ts),
                    "exchange_ts": None,
                    "seq": i,
                    "side": "buy" if self.sign[i] > 0 else "sell",
                    "price": float(self.price[i]),
                    "amount": float(self.amount[i]),
                }
                for i, ts in enumerate(self.trade_ts)
            ]
        )

    def per_bucket(self, values):
        """Sums of trade values by second."""
        return np.bincount(self.bucket, weights=values, minlength=300)


@pytest.fixture(scope="module")
def world():
    print(f"seed {SEED}")
    return World()


def test_realised_volatility_is_the_root_of_the_sum_of_squares(world):
    """numpy, from mids sampled at the end of each second (Andersen et al. 2003)."""
    assert world.last["rvol_300s"] == pytest.approx(np.sqrt(np.sum(world.returns**2)), rel=1e-12)
    assert world.last["tick_rvol_300s"] == pytest.approx(np.linalg.norm(np.diff(np.log(world.mid))), rel=1e-12)
    assert world.last["rvol_60s"] == pytest.approx(np.linalg.norm(world.returns[-60:]), rel=1e-12)


def test_bipower_and_quarticity(world):
    """Barndorff-Nielsen & Shephard: π/2 Σ|r_t||r_{t−1}| and n/3 Σ r⁴, by numpy."""
    r = np.abs(world.returns)
    bpv = np.pi / 2 * np.dot(r[1:], r[:-1])
    assert world.last["bpv_300s"] == pytest.approx(bpv, rel=1e-12)
    assert world.last["rq_300s"] == pytest.approx(300 / 3 * np.sum(r**4), rel=1e-12)
    assert world.last["jump_share_300s"] == pytest.approx(max(0, 1 - bpv / np.sum(r**2)), rel=1e-9, abs=1e-12)


def test_variance_ratio_is_that_of_overlapping_sums(world):
    """Lo & MacKinlay's ratio from overlapping sums of q returns, padded with zeros at both ends, by numpy.convolve."""
    q = OPTIONS.vr_q
    sums = np.convolve(world.returns, np.ones(q))
    expected = np.sum(sums**2) / (q * np.sum(world.returns**2))
    assert world.last["vr5_300s"] == pytest.approx(expected, rel=1e-9)


def test_first_autocorrelation(world):
    """scipy's correlate at lag 1 over lag 0, uncentred."""
    full = scipy.signal.correlate(world.returns, world.returns)
    assert world.last["ret_ac1_300s"] == pytest.approx(
        full[len(world.returns)] / full[len(world.returns) - 1], rel=1e-9
    )


def order_flow(world):
    """e_n of Cont, Kukanov & Stoikov (2014), in their notation of indicators, vectorised over the raw quotes."""
    pb, qb, pa, qa = world.bid[0], world.bid_size[0], world.ask[0], world.ask_size[0]
    return (
        (pb[1:] >= pb[:-1]) * qb[1:]
        - (pb[1:] <= pb[:-1]) * qb[:-1]
        - (pa[1:] <= pa[:-1]) * qa[1:]
        + (pa[1:] >= pa[:-1]) * qa[:-1]
    )


def test_order_flow_imbalance_is_cont_kukanov_and_stoikovs(world):
    e = order_flow(world)
    assert world.last["ofi_l0_sum_300s"] == pytest.approx(np.sum(e), rel=1e-9, abs=1e-9)
    by_second = np.bincount((world.ts[1:] - START) // S, weights=e)
    np.testing.assert_allclose(world.silver["ofi_l0"].to_numpy(), by_second, rtol=1e-9, atol=1e-9)
    depth = np.mean((world.bid_size[0] + world.ask_size[0]) / 2)
    assert world.last["ofi_l0_norm_300s"] == pytest.approx(np.sum(e) / depth, rel=1e-9)


def test_impact_of_order_flow_is_the_regressions(world):
    """statsmodels OLS without a constant: its slope and its (uncentred) R²."""
    x = np.bincount((world.ts[1:] - START) // S, weights=order_flow(world))
    fit = sm.OLS(1e4 * world.returns, x).fit()
    assert world.last["ofi_beta_300s"] == pytest.approx(fit.params[0], rel=1e-9)
    assert world.last["ofi_r2_300s"] == pytest.approx(fit.rsquared, rel=1e-9)


def test_kyles_lambda_is_the_regressions(world):
    """statsmodels OLS without a constant of returns in bps on signed quote volume (Kyle 1985, Hasbrouck 2009)."""
    x = world.per_bucket(world.sign * world.price * world.amount)
    fit = sm.OLS(1e4 * world.returns, x).fit()
    assert world.last["kyle_lambda_300s"] == pytest.approx(fit.params[0], rel=1e-9)
    assert world.last["kyle_r2_300s"] == pytest.approx(fit.rsquared, rel=1e-9)


def test_amihud(world):
    """Σ|r| in bps over Σ price·amount, by numpy (Amihud 2002 as a ratio of sums)."""
    expected = 1e4 * np.sum(np.abs(world.returns)) / np.dot(world.price, world.amount)
    assert world.last["amihud_300s"] == pytest.approx(expected, rel=1e-12)


def test_rolls_spread(world):
    """Roll (1984): 2√−cov of successive log-price changes, uncentred, by numpy."""
    change = np.diff(np.log(world.price))
    covariance = np.mean(change[1:] * change[:-1])
    assert world.last["roll_spread_bps_300s"] == pytest.approx(2e4 * np.sqrt(max(0, -covariance)), rel=1e-9)


def test_rolls_spread_of_rolls_market():
    """Trades bounce at random between a fixed bid and ask: the estimate is the quoted spread, by Roll's theorem."""
    rng = np.random.default_rng(SEED)
    buys = rng.random(3000) < 0.5
    rows = [
        KEY
        | {
            "capture_ts": START + i * S // 10,
            "exchange_ts": None,
            "seq": i,
            "side": "buy" if buy else "sell",
            "price": 100.02 if buy else 99.98,
            "amount": 1.0,
        }
        for i, buy in enumerate(buys.tolist())
    ]
    options = FeatureOptions(families="all", horizons=(300,))
    last = compute_silver(book_frame([]), trade_frame(rows), options=options).row(-1, named=True)
    assert last["roll_spread_bps_300s"] == pytest.approx(4.0, rel=0.1)
    assert last["sign_ac1_300s"] == pytest.approx(0.0, abs=0.06)


def test_burstiness(world):
    """Goh & Barabási's (σ − μ)/(σ + μ) of the times between trades, σ by numpy with ddof 1."""
    gaps = np.diff(world.trade_ts) / S
    sigma, mu = np.std(gaps, ddof=1), np.mean(gaps)
    assert world.last["trade_burst_300s"] == pytest.approx((sigma - mu) / (sigma + mu), rel=1e-6)


def test_effective_spread_and_trade_flow(world):
    """Volume-weighted 2ε(p − m)/m (Huang & Stoll 1996) with numpy.average; imbalance and concentration by hand."""
    es = 2 * world.sign * (world.price - world.trade_mid) / world.trade_mid * 1e4
    assert world.last["eff_spread_bps_300s"] == pytest.approx(np.average(es, weights=world.amount), rel=1e-9)
    expected = np.dot(world.sign, world.amount) / np.sum(world.amount)
    assert world.last["tfi_300s"] == pytest.approx(expected, rel=1e-9)
    share = world.amount / np.sum(world.amount)
    assert world.last["trade_hhi_300s"] == pytest.approx(np.sum(share**2), rel=1e-9)


def test_spread_statistics(world):
    """scipy.stats.describe and zscore of the quoted spread in bps, event by event."""
    spread = 1e4 * (world.ask[0] - world.bid[0]) / world.mid
    described = scipy.stats.describe(spread, ddof=1)
    assert world.last["spread_bps_mean_300s"] == pytest.approx(described.mean, rel=1e-9)
    assert world.last["spread_bps_std_300s"] == pytest.approx(np.sqrt(described.variance), rel=1e-6)
    assert (world.last["spread_bps_min_300s"], world.last["spread_bps_max_300s"]) == pytest.approx(described.minmax)
    assert world.last["spread_z_300s"] == pytest.approx(scipy.stats.zscore(spread, ddof=1)[-1], rel=1e-6)


def test_resiliency_is_the_slope_of_changes_on_levels(world):
    """Kempf et al.: minus the slope, with a constant, of scipy.stats.linregress."""
    spread = 1e4 * (world.ask[0] - world.bid[0]) / world.mid
    depth = world.bid_size[:6].sum(axis=0) + world.ask_size[:6].sum(axis=0)
    for name, level in (("resil_spread_300s", spread), ("resil_depth_300s", depth)):
        fit = scipy.stats.linregress(level[:-1], np.diff(level))
        assert world.last[name] == pytest.approx(-fit.slope, rel=1e-7)


def test_shape_of_a_side(world):
    """numpy.polyfit (slope), scipy.integrate.trapezoid (convexity), scipy.stats.entropy, Σ shares² (Herfindahl)."""
    for side, price, size, sign in (
        ("bid", world.bid, world.bid_size, -1),
        ("ask", world.ask, world.ask_size, 1),
    ):
        d = sign * (price[:6, -1] - world.mid[-1]) / world.mid[-1] * 1e4
        q = size[:6, -1]
        share, cumulative = q / q.sum(), np.cumsum(q)
        assert world.last[f"{side}_slope"] == pytest.approx(np.polyfit(d, cumulative, 1)[0], rel=1e-9)
        assert world.last[f"{side}_slope"] == pytest.approx(scipy.stats.linregress(d, cumulative).slope, rel=1e-9)
        area = scipy.integrate.trapezoid(cumulative / q.sum(), (d - d[0]) / (d[-1] - d[0]))
        assert world.last[f"{side}_convexity"] == pytest.approx(area - 0.5, rel=1e-9)
        assert world.last[f"{side}_entropy"] == pytest.approx(scipy.stats.entropy(share, base=6), rel=1e-9)
        assert world.last[f"{side}_hhi"] == pytest.approx(np.sum(share**2), rel=1e-9)
        assert world.last[f"{side}_wdist_bps"] == pytest.approx(np.average(d, weights=q), rel=1e-9)


def test_fair_values(world):
    """Weighted mid by numpy.average: each price weighted with the other side's size (Gatheral & Oomen 2010)."""
    prices = [world.bid[0, -1], world.ask[0, -1]]
    weights = [world.ask_size[0, -1], world.bid_size[0, -1]]
    assert world.last["microprice"] == pytest.approx(np.average(prices, weights=weights), rel=1e-12)


def test_vpin_where_each_second_fills_a_bucket():
    """Easley et al.: mean |V_buy − V_sell|/V, by hand: 4 buckets a day of 10, each filled by one row's volume."""
    options = FeatureOptions(families="all", vpin_buckets_per_day=4, vpin_window=3, vpin_min=2)
    day = 86_400 * S
    midnight = START // day * day
    split = [(4, 6), (10, 0), (5, 5), (2, 8)]
    rows = pl.DataFrame(
        {
            "exchange": "demo",
            "symbol": "AAA/USD",
            "ts": [midnight + d * day + (i + 1) * S for d in range(2) for i in range(4)],
            "buy_vol": [float(buy) for _ in range(2) for buy, _ in split],
            "sell_vol": [float(sell) for _ in range(2) for _, sell in split],
        }
    )
    table = compute_vpin(rows, options=options)
    assert table["ts"].to_list() == rows["ts"].to_list()[4:]
    assert table["imbalance"].to_list() == pytest.approx([0.2, 1.0, 0.0, 0.6])
    assert table["vpin"].to_list() == [None, *(pytest.approx(v) for v in (0.6, 0.4, 1.6 / 3))]
