import math
import statistics

import numpy as np
import polars as pl
import pytest

from fluxforge_assets.gold.cross_venue import compute_cross_venue, cross_venue_columns, lookback_us
from fluxforge_collector.config.features import FeatureOptions

S = 1_000_000
T0 = 1_760_000_000 * S
OPTIONS = FeatureOptions(xv_max_age=2, xv_horizons=(2, 5), xv_corr_horizon=8)


def book(mid, log_ret=None, second=None):
    """A row with a book; its last update is a quarter of a second before the row's time, or at `second`."""
    return {"mid": mid, "n_book": 1, "log_ret": log_ret, "n_pair": int(log_ret is not None), "at": second}


def venue(silver, rows, exchange="demo"):
    rows = {
        t: r | {"last_book_ts": T0 + round((t - 0.25 if r.get("at") is None else r["at"]) * S)} for t, r in rows.items()
    }
    return silver(T0, rows, exchange)


def test_dispersion_and_deviation_by_hand(silver):
    own = venue(silver, {1: book(100.0)})
    others = {"b": venue(silver, {1: book(101.0)}, "b"), "c": venue(silver, {1: book(99.0)}, "c")}
    row = compute_cross_venue(own, others, options=OPTIONS).row(0, named=True)
    assert row["xv_n"] == 3
    assert row["xv_disp_bps"] == pytest.approx(1e4 * 2 / 100)
    assert row["xv_dev_bps"] == pytest.approx(0.0, abs=1e-12)
    one = compute_cross_venue(own, {"b": others["b"]}, options=OPTIONS).row(0, named=True)
    assert one["xv_disp_bps"] == pytest.approx(1e4 * 1 / 100.5)
    assert one["xv_dev_bps"] == pytest.approx(1e4 * math.log(100 / 101))


def test_a_stale_venue_is_not_live(silver):
    own = venue(silver, {k: book(100.0) for k in (3, 4)})
    other = venue(silver, {1: book(101.0, second=1)}, "b")
    table = compute_cross_venue(own, {"b": other}, options=OPTIONS, watermark_us=T0 + 4 * S)
    assert table["xv_n"].to_list() == [2, 1], "an age of exactly xv_max_age is live"
    assert table["xv_dev_bps"].to_list()[1] is None
    assert table["xv_disp_bps"].to_list()[1] is None


def test_return_gap_is_the_mean_of_those_that_were_observed(silver):
    own = venue(silver, {1: book(100.0, 0.01), 2: book(100.0, 0.02), 3: book(100.0)})
    others = {
        "b": venue(silver, {2: book(100.0, 0.05), 3: book(100.0, 0.01)}, "b"),
        "c": venue(silver, {3: book(100.0)}, "c"),
    }
    gap = compute_cross_venue(own, others, options=OPTIONS, watermark_us=T0 + 9 * S)["xv_ret_gap_2s"].to_list()
    assert gap[0] is None, "no other venue observed"
    assert gap[1] == pytest.approx(0.05 - 0.03)
    assert gap[2] == pytest.approx(0.06 - 0.02), "window (1, 3]: own 0.02, b 0.06, c nothing"


def test_lead_and_lag_against_numpy_on_a_dense_grid(silver):
    rng = np.random.default_rng(20_261_124)
    n = 200
    missing = rng.random((3, n)) < 0.3
    returns = np.where(missing, 0.0, rng.normal(0, 1e-4, (3, n)) * (rng.random((3, n)) < 0.7))
    frames = [
        venue(silver, {k + 1: book(100.0, returns[v, k]) for k in range(n) if not missing[v, k]}, f"v{v}")
        for v in range(3)
    ]
    table = compute_cross_venue(frames[0], {"b": frames[1], "c": frames[2]}, options=OPTIONS, watermark_us=T0 + n * S)
    a, b = returns[0], returns[1:].mean(axis=0)
    checked = 0
    for row in table.iter_rows(named=True):
        t = (row["ts"] - T0) // S - 1
        now = np.arange(max(t - 7, 1), t + 1)
        for name, follow, lead in (("xv_lead_corr_8s", a, b), ("xv_lag_corr_8s", b, a)):
            x, y = follow[now], lead[now - 1]
            if np.count_nonzero(np.abs(y) > 1e-12) < 5 or (follow[np.arange(max(t - 7, 0), t + 1)] ** 2).sum() <= 1e-24:
                assert row[name] is None
                continue
            whole = follow[np.arange(max(t - 7, 0), t + 1)]
            assert row[name] == pytest.approx((x @ y) / math.sqrt((whole @ whole) * (y @ y)), rel=1e-9, abs=1e-12)
            checked += 1
    assert checked > 50


def test_a_leader_is_seen_as_one(silver):
    rng = np.random.default_rng(5)
    moves = rng.normal(0, 1e-4, 61)
    leader = venue(silver, {k + 1: book(100.0, moves[k]) for k in range(60)}, "b")
    own = venue(silver, {k + 2: book(100.0, moves[k]) for k in range(60)})
    row = compute_cross_venue(own, {"b": leader}, options=OPTIONS, watermark_us=T0 + 61 * S).row(-1, named=True)
    assert row["xv_lead_corr_8s"] == pytest.approx(1.0)
    assert abs(row["xv_lag_corr_8s"]) < 0.9


def test_alone_everything_but_the_count_is_null(silver):
    table = compute_cross_venue(venue(silver, {1: book(100.0, 0.1)}), {}, options=OPTIONS)
    assert table["xv_n"].to_list() == [1]
    assert all(table[c].null_count() == 1 for c in table.columns[4:])


def test_the_least_watermark_of_the_group_decides(silver):
    own = venue(silver, {k: book(100.0) for k in range(1, 10)})
    other = venue(silver, {k: book(100.0) for k in range(1, 6)}, "b")
    assert compute_cross_venue(own, {"b": other}, options=OPTIONS)["ts"].max() == T0 + 5 * S


def test_types_and_names_are_as_declared(silver):
    options = FeatureOptions()
    table = compute_cross_venue(venue(silver, {}), {}, options=options)
    declared = cross_venue_columns(options)
    assert len(declared) == 3 + 7, "catalogue 17"
    assert table.columns == [c.name for c in declared]
    assert [table.schema[c.name] for c in declared] == [c.dtype.polars for c in declared]


def test_rows_before_the_look_back_change_nothing(silver):
    rng = np.random.default_rng(9)
    frames = [
        venue(silver, {k: book(100 + rng.random(), rng.normal(0, 1e-4)) for k in range(1, 120) if rng.random() < 0.7})
        for _ in range(3)
    ]
    cut = T0 + 60 * S

    def late(from_us):
        own, *others = (f.filter(pl.col("ts") > from_us) for f in frames)
        named = dict(zip("bc", others, strict=True))
        return compute_cross_venue(own, named, options=OPTIONS, from_us=cut, watermark_us=T0 + 120 * S)

    assert late(0).equals(late(cut - lookback_us(OPTIONS)))


def test_medians_of_any_number_of_venues(silver):
    rng = np.random.default_rng(3)
    for count in range(1, 6):
        mids = 100 + rng.random(count)
        others = {f"v{k}": venue(silver, {1: book(m)}, f"v{k}") for k, m in enumerate(mids)}
        row = compute_cross_venue(venue(silver, {1: book(100.0)}), others, options=OPTIONS).row(0, named=True)
        assert row["xv_dev_bps"] == pytest.approx(1e4 * math.log(100 / statistics.median(mids)), rel=1e-9)
