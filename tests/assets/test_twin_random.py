"""The product against the twin under options drawn at random: silver, bars and labels."""

import random

import pytest
from support.compare import differences
from support.dirty import dirty
from support.twin import twin_bars, twin_labels, twin_silver

from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.labels import compute_labels
from fluxforge_collector.config.features import FeatureOptions


def random_options(rng):
    step = rng.choice((0.25, 0.5, 1, 1, 2, 5))
    levels = rng.randrange(2, 21)

    def multiples(of, count):
        return tuple(sorted({step * rng.choice(of) for _ in range(count)}))

    return FeatureOptions(
        families="all",
        hf_emit_interval=step,
        max_levels=levels,
        depth_levels=levels + rng.choice((0, 0, 1, 5)),
        ofi_levels=rng.randrange(1, levels + 1),
        horizons=multiples((1, 2, 3, 5, 7, 10, 13, 60), rng.randrange(1, 4)),
        bar_durations=multiples((1, 2, 5, 17, 60), 3),
        max_gap=rng.choice((step, step * 1.5, 3 * step, 10 * step, 60)),
        label_horizons=(5 * step, 20 * step),
        label_lag=rng.choice((0, step)),
        rs_horizons=(step,),
        xv_horizons=(10 * step,),
        xv_corr_horizon=10 * step,
        vr_q=rng.randrange(2, 9),
        side_fallback=rng.choice(("quote", "exclude")),
        tick_size=rng.choice((None, 0.01)),
        bands_bps=rng.choice(((5, 10, 25, 50), (1,), (2.5, 5, 7.5))),
        tight_spread_bps=rng.choice((1, 2)),
        wide_spread_bps=rng.choice((2, 4)),
        large_trade_notional=rng.choice((50, 300)),
        decay_bps=rng.choice((1, 10)),
    )


def compare(seed):
    rng = random.Random(seed)
    options = random_options(rng)
    print(f"seed {seed}: {options!r}")
    bronze = dirty(
        seed,
        options,
        events=rng.randrange(50, 600),
        mean_us=rng.choice((50_000, 400_000, 2_000_000)),
        dirt=rng.choice((0, 0.1, 0.3, 0.6)),
        price=rng.choice((100.0, 100.0, 3.7, 61_000.0)),
    )
    if rng.random() < 0.15:
        bronze = bronze.without_trades()
    watermark = bronze.end_us + rng.choice((-5, 0, 10)) * options.bucket_us
    silver = compute_silver(*bronze.frames(), options=options, watermark_us=watermark)
    rows = twin_silver(*bronze, options, watermark)
    assert differences(rows, silver.to_dicts()) == []
    labels = compute_labels(silver, options=options, watermark_us=watermark)
    assert differences(twin_labels(rows, options, watermark), labels.to_dicts()) == []
    bars = compute_bars(silver, options=options, watermark_us=watermark)
    reference = twin_bars(rows, options, has_trades=bronze.trades is not None, watermark_us=watermark)
    for duration in options.bar_durations_us:
        wanted = [bar for bar in reference if bar["bar_us"] == duration]
        found = bars.filter(bar_us=duration).sort("ts").select(*(wanted[0] if wanted else bars.columns))
        assert differences(wanted, found.to_dicts(), ("ts", "bar_us")) == []


@pytest.mark.parametrize("seed", range(7000, 7008))
def test_random_options(seed):
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8000, 8150))
def test_many_random_options(seed):
    compare(seed)
