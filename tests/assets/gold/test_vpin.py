import math

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fluxforge_assets.gold.vpin import compute_vpin, vpin_columns
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

S = 1_000_000
DAY = 86_400 * S
D0 = 20_000 * DAY
OPTIONS = FeatureOptions(vpin_buckets_per_day=4, vpin_window=3, vpin_min=2)


def trades(silver, days, start=D0):
    """Silver rows of consecutive days, each a list of (buy, sell), ten seconds apart."""
    return pl.concat(
        silver(
            start + number * DAY,
            {10 * (k + 1): {"buy_vol": float(b), "sell_vol": float(s)} for k, (b, s) in enumerate(rows)},
        )
        for number, rows in enumerate(days)
    )


def test_without_splits_it_is_the_mean_of_hand_counted_imbalances(silver):
    # day 0 trades 40, so V = 10 on day 1; rows fill one bucket each: |2·buy − 10|/10 = 0.4, 1, 0, 0.6
    table = compute_vpin(
        trades(silver, [[(20, 20)], [(7, 3), (10, 0), (5, 5), (2, 8)]]),
        options=OPTIONS,
    )
    assert table["vpin_bucket"].to_list() == [0, 1, 2, 3]
    assert table["bucket_vol"].to_list() == [10.0] * 4
    assert table["imbalance"].to_list() == pytest.approx([0.4, 1.0, 0.0, 0.6], abs=1e-12)
    assert table["vpin"].to_list()[0] is None
    assert table["vpin"].to_list()[1:] == pytest.approx([0.7, 1.4 / 3, 1.6 / 3], rel=1e-12)
    assert table["ts"].to_list() == [D0 + DAY + k * 10 * S for k in (1, 2, 3, 4)]


def test_a_row_over_several_buckets_is_split_in_its_own_proportion(silver):
    # V = 10; a row of 25 with 20 bought: buckets of 8, 8 and half a bucket of 4; then 5 sold: 4 bought of 10
    table = compute_vpin(trades(silver, [[(40, 0)], [(20, 5), (0, 5)]]), options=OPTIONS)
    assert table["imbalance"].to_list() == pytest.approx([0.6, 0.6, 0.2], rel=1e-12)
    assert table["ts"].to_list() == [D0 + DAY + t * S for t in (10, 10, 20)]


def test_purely_one_sided_flow_is_fully_toxic_however_it_is_split(silver):
    table = compute_vpin(trades(silver, [[(40, 0)], [(15, 0), (7, 0), (31, 0)]]), options=OPTIONS)
    assert table["imbalance"].to_list() == pytest.approx([1.0] * 5, rel=1e-12)


def test_a_bucket_short_by_rounding_alone_is_complete(silver):
    # 0.1 + 0.2 + 0.7 in floats, against a bucket of 1
    table = compute_vpin(trades(silver, [[(4, 0)], [(0.1, 0), (0.2, 0), (0.7 - 1e-12, 0)]]), options=OPTIONS)
    assert table["ts"].to_list() == [D0 + DAY + 30 * S]
    table = compute_vpin(trades(silver, [[(4, 0)], [(0.1, 0), (0.2, 0), (0.7 - 1e-8, 0)]]), options=OPTIONS)
    assert table.height == 0


def test_the_unfinished_bucket_is_dropped_at_midnight(silver):
    table = compute_vpin(trades(silver, [[(40, 0)], [(15, 0)], [(3.75, 0), (1, 2)]]), options=OPTIONS)
    last = table.filter(pl.col("ts") > D0 + 2 * DAY)
    assert last["vpin_bucket"].to_list() == [0]
    assert last["bucket_vol"].to_list() == [3.75]


def test_the_mean_reaches_back_into_the_day_before_only(silver):
    days = [[(40, 0)], [(10, 0), (5, 5)], [(5, 0), (0, 5), (2.5, 2.5)]]
    table = compute_vpin(trades(silver, days), options=OPTIONS)
    today = table.filter(pl.col("ts") > D0 + 2 * DAY)
    # imbalances: yesterday 1, 0; today V = 5: 1, 1, 0
    assert today["vpin"].to_list() == pytest.approx([2 / 3, 2 / 3, 2 / 3], rel=1e-12)
    # with a day of silence between, yesterday is no longer the day before
    gap = pl.concat([trades(silver, days[:2]), trades(silver, days[2:], start=D0 + 3 * DAY)])
    assert compute_vpin(gap, options=OPTIONS).filter(pl.col("ts") > D0 + 2 * DAY).height == 0


def test_a_day_is_that_of_the_bucket_start(silver):
    # the row stamped midnight holds the last bucket of the day before
    rows = pl.concat([silver(D0, {0: {"buy_vol": 40.0, "sell_vol": 0.0}}), trades(silver, [[(10, 0)]])])
    table = compute_vpin(rows, options=OPTIONS)
    assert table["bucket_vol"].to_list() == [10.0]


def test_a_day_needs_the_two_before_it_alone(silver):
    days = [[(40, 3), (5, 9)], [(9, 5), (30, 1)], [(8, 3), (2, 7), (30, 4)], [(1, 7), (4, 2), (20, 20)]]
    whole = compute_vpin(trades(silver, days), options=OPTIONS).filter(pl.col("ts") > D0 + 3 * DAY)
    part = compute_vpin(trades(silver, days[1:], start=D0 + DAY), options=OPTIONS, from_us=D0 + 3 * DAY)
    assert part.height > 0
    assert part.equals(whole)


def test_no_trades_feed_and_no_trades_give_no_rows(silver):
    assert compute_vpin(silver(D0, {1: {}, 2: {}}), options=OPTIONS).height == 0
    assert compute_vpin(trades(silver, [[(0, 0)], [(5, 5)]]), options=OPTIONS).height == 0
    empty = compute_vpin(silver(D0, {}), options=OPTIONS)
    assert empty.columns == [c.name for c in vpin_columns(OPTIONS)]
    assert [empty.schema[c.name] for c in vpin_columns(OPTIONS)] == [c.dtype.polars for c in vpin_columns(OPTIONS)]


def test_a_day_that_would_explode_is_refused(silver):
    with pytest.raises(DataError, match="over 1,000,000 buckets"):
        compute_vpin(trades(silver, [[(1e-9, 0)], [(1e9, 0)]]), options=OPTIONS)


def test_a_thin_day_does_not_spoil_the_day_after_next(silver):
    # day 1 would have 4e7 buckets by the dust of day 0; for day 2 only its last ones matter
    days = [[(1e-6, 0)], [(6, 4)], [(2.5, 0), (0, 2.5), (5, 0)]]
    table = compute_vpin(trades(silver, days), options=OPTIONS, from_us=D0 + 2 * DAY)
    assert table["imbalance"].to_list() == pytest.approx([1.0] * 4)
    assert table["vpin"].to_list() == pytest.approx([(0.2 + 0.2 + 1) / 3, (0.2 + 1 + 1) / 3, 1.0, 1.0], rel=1e-6)
    with pytest.raises(DataError):
        compute_vpin(trades(silver, days), options=OPTIONS)


flows = st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), min_size=1, max_size=12)


@given(days=st.lists(flows, min_size=2, max_size=4), cut=st.integers(1, 130))
def test_what_is_complete_at_a_watermark_stays(silver, days, cut):
    rows = trades(silver, days)
    watermark = D0 + (len(days) - 1) * DAY + cut * S
    try:
        whole = compute_vpin(rows, options=OPTIONS)
    except DataError:
        return
    early = compute_vpin(rows.filter(pl.col("ts") <= watermark), options=OPTIONS, watermark_us=watermark)
    late = whole.filter(pl.col("ts") <= watermark)
    assert early.drop("imbalance", "vpin").equals(late.drop("imbalance", "vpin"))
    for name in ("imbalance", "vpin"):
        assert (early[name] - late[name]).abs().max() in (None, pytest.approx(0, abs=1e-8))
    assert all(0 <= v <= 1 for v in whole["imbalance"])


@given(days=st.lists(flows, min_size=2, max_size=3))
def test_an_obvious_pour_from_row_to_bucket_agrees(silver, days):
    rows = trades(silver, days)
    volumes = [sum(b + s for b, s in day) for day in days]
    assume(volumes[-2] >= 1e-3)
    assume(not any(0 < v < 1e-3 for v in volumes))
    size = volumes[-2] / 4
    filled = bought = 0.0
    expected = []
    for buy, sell in days[-1]:
        left = buy + sell
        while left > 0:
            taken = min(left, size - filled)
            filled += taken
            bought += taken * buy / (buy + sell)
            left -= taken
            if filled >= size * (1 - 1e-12):
                expected.append(abs(2 * bought - size) / size)
                filled = bought = 0.0
            if taken == 0:
                break
    table = compute_vpin(rows, options=OPTIONS).filter(pl.col("ts") > D0 + (len(days) - 1) * DAY)
    assert abs(table.height - len(expected)) <= 1
    for ours, theirs in zip(table["imbalance"], expected, strict=False):
        assert math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=1e-6)
