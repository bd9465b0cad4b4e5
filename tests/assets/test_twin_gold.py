"""VPIN, cross-venue and integrated OFI against the twin, over dirty data and midnights."""

import polars as pl
import pytest
from support.compare import differences
from support.dirty import START_US, dirty
from support.twin import twin_cross_venue, twin_ofi_integrated, twin_vpin

from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.gold import compute_cross_venue, compute_ofi_integrated, compute_vpin
from fluxforge_assets.gold.ofi_integrated import by_day, day_moments
from fluxforge_collector.config.features import FeatureOptions

DAY_US = 86_400_000_000
DAY = START_US // DAY_US * DAY_US
DAYS = FeatureOptions(
    families=("A",),
    max_levels=4,
    ofi_levels=3,
    horizons=(60,),
    max_gap=3600,
    hf_emit_interval=60,
    xv_horizons=(60, 300),
    xv_corr_horizon=1800,
    label_horizons=(300,),
    rs_horizons=(60,),
    bar_durations=(60,),
    vpin_buckets_per_day=20,
    vpin_window=15,
    vpin_min=6,
    pca_days=2,
    pca_min_rows=300,
)
SECONDS = FeatureOptions(horizons=(1, 5), max_gap=10, xv_horizons=(1, 5, 60), xv_corr_horizon=20, xv_max_age=2)


def silver_of(seed, options, **kwargs):
    return compute_silver(*dirty(seed, options, **kwargs).frames(), options=options)


@pytest.fixture(scope="module")
def days():
    """Silver of about four days, a row a minute."""
    return silver_of(301, DAYS, events=1800, mean_us=400_000_000, start_us=DAY + DAY_US // 3)


def test_vpin_is_the_twins(days):
    found = compute_vpin(days, options=DAYS).to_dicts()
    assert len(found) > 30
    assert differences(twin_vpin(days.to_dicts(), DAYS), found, ("ts", "vpin_bucket")) == []


def test_one_sided_flow_has_vpin_one(days):
    """The defect of the earlier system: rows split over buckets made 0.74 of purely one-sided flow."""
    bought = days.with_columns(buy_vol=pl.col("buy_vol") + pl.col("sell_vol"), sell_vol=pl.lit(0.0))
    table = compute_vpin(bought, options=DAYS)
    assert table["imbalance"].to_list() == pytest.approx([1.0] * table.height)


@pytest.mark.parametrize("venues", [0, 1, 2, 3])
def test_cross_venue_is_the_twins(venues):
    own, *others = [silver_of(310 + i, SECONDS, events=900, price=100 + i / 50) for i in range(venues + 1)]
    watermark = min(frame["ts"][-1] for frame in (own, *others))
    found = compute_cross_venue(
        own, {str(i): frame for i, frame in enumerate(others)}, options=SECONDS, watermark_us=watermark
    )
    assert found.height > 100
    reference = twin_cross_venue(own.to_dicts(), [frame.to_dicts() for frame in others], SECONDS, watermark)
    assert differences(reference, found.to_dicts()) == []


def test_a_venue_that_leads_is_seen_to_lead():
    """A venue whose returns are the own ones a bucket earlier: lead correlation 1, lag far from it."""
    silver = silver_of(320, SECONDS, events=6000, mean_us=150_000, dirt=0.0)
    leader = silver.with_columns(pl.col("ts") - SECONDS.bucket_us)
    table = compute_cross_venue(silver, {"leader": leader}, options=SECONDS, watermark_us=silver["ts"][-1])
    lead, lag = (table[f"xv_{which}_corr_20s"].drop_nulls() for which in ("lead", "lag"))
    assert lead.median() > 0.9
    assert abs(lag.median()) < 0.5


def test_integrated_ofi_is_the_twins(days):
    parts = by_day(days, DAYS)
    found = pl.concat(
        compute_ofi_integrated(
            rows,
            [day_moments(parts[d], DAYS) for d in range(day - DAYS.pca_days, day) if d in parts],
            options=DAYS,
        )
        for day, rows in sorted(parts.items())
    )
    assert found["ofi_int"].null_count() < found.height
    assert differences(twin_ofi_integrated(days.to_dicts(), DAYS), found.to_dicts()) == []
