"""The product against the twin, column by column, over dirty data and several configurations."""

from dataclasses import dataclass, field

import pytest
from support.compare import differences
from support.dirty import Bronze, dirty
from support.twin import twin_bars, twin_labels, twin_silver

from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.labels import compute_labels
from fluxforge_collector.config.features import FeatureOptions


@dataclass(frozen=True)
class Case:
    """Options and the data they meet; `rows` is the least number of silver rows it must give."""

    options: dict
    seed: int
    data: dict = field(default_factory=dict)
    rows: int = 0
    has_trades: bool = True


LONG = {"label_horizons": (5, 60, 300), "rs_horizons": (5,)}
CASES = {
    "defaults": Case({}, 11, {"events": 7000}, rows=3000),
    "half a second, few levels": Case(
        {
            "hf_emit_interval": 0.5,
            "max_levels": 3,
            "depth_levels": 10,
            "ofi_levels": 3,
            "bands_bps": (2.5, 7.5),
            "horizons": (0.5, 2, 10),
            "bar_durations": (0.5, 5, 300),
            "max_gap": 10,
            "impact_notionals": (100, 750, 2_500_000),
        },
        12,
        {"events": 4500, "mean_us": 250_000},
        rows=2000,
    ),
    "five seconds, twenty levels": Case(
        {
            "hf_emit_interval": 5,
            "max_levels": 20,
            "depth_levels": 25,
            "horizons": (5, 60, 600),
            "bar_durations": (5, 60, 3600),
            "max_gap": 30,
            "xv_horizons": (5, 60),
            "rs_horizons": (5,),
            "tick_size": 0.01,
        },
        13,
        {"events": 2500, "mean_us": 2_500_000},
        rows=1000,
    ),
    "an hour's window, sides excluded": Case(
        {
            "max_levels": 5,
            "ofi_levels": 5,
            "wmid_levels": (3,),
            "side_fallback": "exclude",
            "horizons": (1, 60, 3600),
            "bar_durations": (60, 900, 3600, 14400),
        },
        14,
        {"events": 700, "mean_us": 9_000_000},
        rows=550,
    ),
    "no trades feed": Case(
        {
            "max_levels": 2,
            "ofi_levels": 1,
            "bands_bps": (5,),
            "wmid_levels": (),
            "vr_q": 2,
            "impact_notionals": (),
        },
        15,
        {"events": 2500},
        rows=900,
        has_trades=False,
    ),
    "long lags, high price": Case(
        {
            "vr_q": 12,
            "decay_bps": 0.5,
            "ofi_decay_alpha": 0,
            "bands_bps": (0.05, 0.1, 1),
            "tight_spread_bps": 0.002,
            "wide_spread_bps": 0.005,
            "large_trade_notional": 60_000,
            "horizons": (1, 15),
        },
        16,
        {"events": 2500, "price": 60_000.0},
        rows=1000,
    ),
    "tiny price, wide ticks": Case(
        {"bands_bps": (50, 100, 500), "max_gap": 2, "horizons": (1, 2, 20), "impact_notionals": (0.001, 0.00005)},
        17,
        {"events": 3000, "price": 0.000_123, "tick": 1e-7},
        rows=1000,
    ),
    "clean and busy": Case({"max_gap": 5}, 18, {"events": 6000, "mean_us": 60_000, "dirt": 0.0}, rows=1000),
    "mostly spoilt": Case({"max_levels": 4, "ofi_levels": 2}, 19, {"events": 2500, "dirt": 0.8}, rows=500),
}
cases = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def silver():
    """Silver of a case, of the product as a frame and of the twin as rows; computed once."""
    known = {}

    def of(name):
        if name not in known:
            case = CASES[name]
            print(f"seed {case.seed}")
            options = FeatureOptions(families="all", **(LONG | case.options))
            bronze = dirty(case.seed, options, **case.data)
            if not case.has_trades:
                bronze = bronze.without_trades()
            watermark = bronze.end_us - 3 * options.bucket_us
            found = compute_silver(*bronze.frames(), options=options, watermark_us=watermark)
            known[name] = options, watermark, found, twin_silver(*bronze, options, watermark)
        return known[name]

    return of


def test_the_cases_hold_ten_thousand_rows():
    assert sum(case.rows for case in CASES.values()) >= 10_000


@cases
def test_silver_is_the_twins(silver, name):
    _, _, found, reference = silver(name)
    assert len(reference) >= CASES[name].rows
    assert differences(reference, found.to_dicts()) == []


@cases
def test_bars_are_the_twins(silver, name):
    options, watermark, found, rows = silver(name)
    reference = twin_bars(rows, options, has_trades=CASES[name].has_trades, watermark_us=watermark)
    for duration in options.bar_durations_us:
        bars = compute_bars(found, options=options, watermark_us=watermark).filter(bar_us=duration).sort("ts")
        wanted = [bar for bar in reference if bar["bar_us"] == duration]
        undefined = [name for name in bars.columns if wanted and name not in wanted[0]]
        assert sum(bars.select(undefined).null_count().row(0)) == len(undefined) * bars.height
        found_bars = bars.drop(undefined).to_dicts()
        assert differences(wanted, found_bars, ("ts", "bar_us")) == []


@cases
def test_labels_are_the_twins(silver, name):
    options, watermark, found, rows = silver(name)
    labels = compute_labels(found, options=options, watermark_us=watermark)
    assert differences(twin_labels(rows, options, watermark), labels.to_dicts()) == []


def on_thresholds():
    """Spreads of exactly 1 and 10 bps, trades of exactly 10 000, a notional of exactly what is offered."""
    start = 1_723_160_400_000_000
    key = {"exchange": "demo", "symbol": "AAA/USD", "exchange_ts": None}
    quotes = [(99.995, 100.005), (99.95, 100.05), (99.99, 100.01)] * 20
    book = [
        key
        | {"capture_ts": start + i * 300_000, "nonce": i, "seq": i, "bids": [(b, 1000 / b)], "asks": [(a, 10_000 / a)]}
        for i, (b, a) in enumerate(quotes)
    ]
    amounts = [100.0, 10_000 / 100.005, 10_000 / 99.95, 99.99999]
    trades = [
        key | {"capture_ts": start + i * 200_000, "seq": i, "side": "buy", "price": price, "amount": amount}
        for i, (price, amount) in enumerate(zip([100.0, 100.005, 99.95, 100.0] * 20, amounts * 20, strict=True))
    ]
    return Bronze(book, trades, [])


EDGES = {
    "on thresholds": on_thresholds(),
    "nothing at all": Bronze([], [], []),
    "one book": Bronze(dirty(1, FeatureOptions(), events=2, dirt=0).book[:1], [], []),
    "trades without a book": dirty(21, FeatureOptions(), events=300)._replace(book=[]),
    "books without a trade": dirty(22, FeatureOptions(), events=300)._replace(trades=[]),
    "one instant": Bronze(
        [row | {"capture_ts": 1_723_160_400_000_000} for row in dirty(23, FeatureOptions(), events=50).book], [], []
    ),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_are_the_twins(edge):
    options = FeatureOptions(families="all")
    bronze = EDGES[edge]
    found = compute_silver(*bronze.frames(), options=options)
    assert differences(twin_silver(*bronze, options), found.to_dicts()) == []


def test_rows_in_any_order_give_the_same():
    """The order of events is (capture_ts, seq), whatever the order of rows."""
    options = FeatureOptions(families="all")
    bronze = dirty(24, options, events=400)
    book, trades, gaps = bronze.frames()
    shuffled = compute_silver(
        book.sample(fraction=1, shuffle=True, seed=1), trades.sample(fraction=1, shuffle=True, seed=2), gaps,
        options=options,
    )  # fmt: skip
    assert shuffled.equals(compute_silver(book, trades, gaps, options=options))
