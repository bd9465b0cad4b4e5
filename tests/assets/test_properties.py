"""The ten properties every implementation of the catalogue must satisfy (its section 18), on dirty data."""

import math
import random

import polars as pl
import pytest
from support.compare import differences
from support.dirty import Bronze, dirty
from support.tables import assert_identical, between, clock_edges
from support.twin.names import us, window_suffix
from support.twin.windows import window

from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.gold import compute_cross_venue, compute_vpin
from fluxforge_assets.labels import compute_labels
from fluxforge_collector.config.features import FeatureOptions

OPTIONS = FeatureOptions(families="all", horizons=(1, 5, 20), max_gap=10, label_horizons=(5, 60), rs_horizons=(5,))
COARSE = FeatureOptions(families="all", hf_emit_interval=5, horizons=(5, 60), bar_durations=(5, 60), max_gap=20)
FINE = FeatureOptions(
    families="all", hf_emit_interval=0.5, max_levels=3, ofi_levels=2, horizons=(0.5, 30), bar_durations=(0.5, 30)
)
variants = pytest.mark.parametrize(
    ("options", "seed"), [(OPTIONS, 101), (COARSE, 102), (FINE, 103)], ids=["1s-101", "5s-102", "500ms-103"]
)


def silver_of(bronze, options, **kwargs):
    return compute_silver(*bronze.frames(), options=options, **kwargs)


def test_1_rolling_is_the_merge_of_the_stored_rows():
    silver = silver_of(dirty(111, OPTIONS), OPTIONS).to_dicts()
    merged = []
    for i, row in enumerate(silver):
        out = {name: row[name] for name in ("exchange", "symbol", "ts")}
        for h in OPTIONS.horizons:
            rows = [r for r in silver[max(0, i - 20) : i + 1] if r["ts"] > row["ts"] - us(h)]
            out |= {f"{name}_{window_suffix(h)}": v for name, v in window(rows, us(h), OPTIONS, True).items()}
        merged.append(out)
    assert differences(merged, [{name: row[name] for name in merged[0]} for row in silver]) == []


GRID = (
    *("noise_ratio", "rsv_up", "rsv_dn", "sj_share", "bpv", "jump_share", "rq", "rvol", "path_eff", "ret_ac1", "vr5"),
    *("ofi_beta", "ofi_r2", "kyle_lambda", "kyle_r2", "amihud", "vpin_time", "rv"),
)
"""What is defined on the grid of buckets and so depends on their length."""


@pytest.mark.parametrize("duration", [5, 20])
def test_2_a_bar_is_computed_from_its_events(duration):
    """One bucket as long as the bar gives every value of the bar that is not defined on the grid."""
    bronze = dirty(112, OPTIONS, mean_us=250_000)
    options = OPTIONS.model_copy(update={"bar_durations": (duration,)})
    whole = options.model_copy(update={"hf_emit_interval": float(duration), "horizons": (float(duration),)})
    silver = silver_of(bronze, options)
    last = silver["ts"][-1] // us(duration) * us(duration)
    bars = compute_bars(silver, options=options, watermark_us=last)
    direct = silver_of(bronze, whole, watermark_us=last)
    suffix = f"_{duration}s"
    same = {
        **{name: name + suffix for name in bars.columns if name + suffix in direct.columns and name not in GRID},
        **{name: name for name in ("n_pair", "n_break", "buy_vol", "sell_vol", "buy_qvol", "sell_qvol", "n_buy")},
        "mid_open": "mid_first",
        "mid_high": "mid_max",
        "mid_low": "mid_min",
        "mid_close": "mid",
        "trade_open": "trade_first",
        "trade_close": "trade_last",
        "trade_high": "trade_high",
        "spread_bps_close": "spread_bps",
        "microprice_close": "microprice",
        "imb_l0_close": "imb_l0",
        **{f"ofi_l{k}_sum": f"ofi_l{k}" for k in range(options.ofi_levels)},
    }
    key = ["exchange", "symbol", "ts"]
    wanted = direct.select(*key, *(pl.col(theirs).alias(name) for name, theirs in same.items())).to_dicts()
    assert len(same) > 70
    assert differences(wanted, bars.select(*key, *same).to_dicts()) == []


@variants
def test_2_a_bar_is_the_rolling_window_at_its_end(options, seed):
    options = options.model_copy(update={"bar_durations": options.horizons})
    silver = silver_of(dirty(seed, options), options)
    bars = compute_bars(silver, options=options)
    for h in options.horizons:
        names = [c.removesuffix(f"_{window_suffix(h)}") for c in silver.columns if c.endswith(f"_{window_suffix(h)}")]
        names = [name for name in names if name in bars.columns]
        ends = bars.filter(bar_us=us(h)).join(silver.select("ts"), on="ts", how="semi")
        rolling = silver.join(ends.select("ts"), on="ts", how="semi")
        key = ["exchange", "symbol", "ts"]
        wanted = rolling.select(*key, *(pl.col(f"{name}_{window_suffix(h)}").alias(name) for name in names))
        assert len(names) > 55
        assert wanted.height > 20
        assert differences(wanted.to_dicts(), ends.select(*key, *names).to_dicts()) == []


@variants
def test_3_no_row_sees_what_comes_after_it(options, seed):
    """Other events from t on, or none, change no row with ts ≤ t."""
    bronze = dirty(seed, options, events=900)
    rng = random.Random(seed)
    whole = silver_of(bronze, options)
    for _ in range(5):
        t = rng.randrange(bronze.book[0]["capture_ts"], bronze.end_us)
        past = between(bronze, 0, t)._replace(gaps=bronze.gaps)
        future = dirty(rng.randrange(1000), options, events=200, price=250.0, start_us=t)
        replaced = Bronze(past.book + future.book, past.trades + future.trades, bronze.gaps)
        wanted = whole.filter(pl.col("ts") <= t)
        for other in (past, renumbered(replaced)):
            assert_identical(silver_of(other, options).filter(pl.col("ts") <= t), wanted)


def renumbered(bronze):
    """`seq` as the arrival ordinal again."""
    return bronze._replace(
        book=[row | {"seq": i} for i, row in enumerate(bronze.book)],
        trades=[row | {"seq": i} for i, row in enumerate(bronze.trades)],
    )


@variants
def test_4_events_older_than_the_look_back_change_nothing(options, seed):
    bronze = dirty(seed, options, events=1500)
    rng = random.Random(seed)
    whole = silver_of(bronze, options)
    for _ in range(5):
        a = whole["ts"][rng.randrange(whole.height)] + rng.choice((0, 1))
        later = between(bronze, a - options.lookback_us, bronze.end_us + 1)
        wanted = whole.filter(pl.col("ts") > a)
        assert differences(wanted.to_dicts(), silver_of(later, options, from_us=a).to_dicts()) == []


@variants
def test_5_any_split_gives_the_same(options, seed):
    """Silver appended watermark by watermark, at random instants, is that of one pass; so are bars from its parts."""
    bronze = dirty(seed, options, events=1500)
    edges = clock_edges(options, bronze, random.Random(seed), 12)
    whole = silver_of(bronze, options, watermark_us=edges[-1])
    parts, done = [], 0
    for edge in edges:
        events = between(bronze, done - options.lookback_us, edge)
        parts.append(silver_of(events, options, from_us=done, watermark_us=edge))
        done = edge
    assert differences(whole.to_dicts(), pl.concat(parts).to_dicts()) == []
    bars = compute_bars(whole, options=options, watermark_us=edges[-1])
    assert_identical(
        compute_bars(pl.concat(parts), options=options, watermark_us=edges[-1]).select("ts"), bars.select("ts")
    )


SCALE = {"base": 4.0, "px": 2.0, "quote": 8.0}


def factor(unit):
    """By what a value of this unit grows when sizes grow by 4 and prices by 2: `bps/quote` by 1/8, `base²` by 16."""
    result = 1.0
    for i, part in enumerate(unit.split("/")):
        for name in part.split("·"):
            scale = SCALE.get(name.removesuffix("²"), 1.0) ** (2 if name.endswith("²") else 1)
            result = result / scale if i else result * scale
    return result


def test_6_sizes_times_four_and_prices_times_two():
    """Powers of two are exact in Float64: no bit changes but by the unit's factor."""
    options = OPTIONS.model_copy(update={"tick_size": 0.01})
    big = options.model_copy(
        update={
            "impact_notionals": tuple(8 * x for x in options.impact_notionals),
            "large_trade_notional": 8 * options.large_trade_notional,
            "tick_size": 2 * options.tick_size,
        }
    )
    bronze = dirty(116, options)

    def level(side):
        return None if side is None else [(times(p, 2.0), times(q, 4.0)) for p, q in side]

    scaled = Bronze(
        [row | {"bids": level(row["bids"]), "asks": level(row["asks"])} for row in bronze.book],
        [row | {"price": times(row["price"], 2.0), "amount": times(row["amount"], 4.0)} for row in bronze.trades],
        bronze.gaps,
    )
    one, other = silver_of(bronze, options), silver_of(scaled, big)
    unchanged = 0
    for column, name in zip(silver_columns(options), other.columns, strict=True):
        by = factor(column.unit)
        unchanged += by == 1
        wanted = one[column.name] if by == 1 else one[column.name] * by
        assert wanted.equals(other[name], null_equal=True), column.name
    assert unchanged > 250


def times(value, factor):
    return None if value is None else value * factor


def test_7_reflected_prices_swap_the_sides():
    """p → C − p on a binary tick grid, sides swapped: sides trade places, imbalances and flows change sign."""
    tick, pivot = 1 / 64, 256.0
    options = FeatureOptions(families="all", horizons=(1, 5), max_gap=10)
    bronze = dirty(117, options, price=128.0, tick=tick)
    opposite = {"buy": "sell", "sell": "buy"}

    def level(side):
        return None if side is None else [(reflect(p, pivot), q) for p, q in side]

    mirrored = Bronze(
        [row | {"bids": level(row["asks"]), "asks": level(row["bids"])} for row in bronze.book],
        [
            row
            | {
                "price": reflect(row["price"], pivot),
                "side": opposite.get((row["side"] or "").strip().lower(), row["side"]),
            }
            for row in bronze.trades
        ],
        bronze.gaps,
    )
    one, other = silver_of(bronze, options), silver_of(mirrored, options)
    names = set(one.columns)
    sizes = [name for name in names if name.startswith(("bid_size_l", "bid_depth_top"))]
    swapped = {name: name.replace("bid_", "ask_") for name in [*sizes, "bid_add", "bid_rem", "bid_levels", "bid_hhi"]}
    swapped |= {f"bid_{what}_sum_5s": f"ask_{what}_sum_5s" for what in ("add", "rem", "cancel")}
    swapped |= {"n_mid_up": "n_mid_dn", "n_buy": "n_sell", "buy_vol": "sell_vol", "bid_entropy": "ask_entropy"}
    flipped = [n for n in names if n.startswith(("imb_l", "imb_top")) and "_m2" not in n and "_std" not in n]
    flipped += [f"ofi_l{k}" for k in range(options.ofi_levels)]
    flipped += [f"{name}_{h}s" for h in (1, 5) for name in ("ofi_l0_sum", "ofi_decay_sum", "ofi_l0_norm", "tfi")]
    flipped += ["ofi_l0_ratio_5s", "book_flow_imb_5s"]
    same = ["n_book", "n_pair", "pair_us", "n_trade", "vol", "ofi_abs_l0", "depth_l0_mean", "sign_sum", "through_n"]
    assert len(flipped) > 40
    reference = one.select("exchange", "symbol", "ts", *swapped, *swapped.values(), *flipped, *same)
    found = other.select(
        "exchange", "symbol", "ts",
        *(pl.col(there).alias(here) for here, there in swapped.items()),
        *(pl.col(here).alias(there) for here, there in swapped.items()),
        *(-pl.col(name) for name in flipped),
        *same,
    )  # fmt: skip
    assert differences(reference.to_dicts(), found.to_dicts()) == []


def reflect(price, pivot):
    return price if price is None or not math.isfinite(price) or price <= 0 else pivot - price


@variants
def test_8_identities(options, seed):
    rows = silver_of(dirty(seed, options), options).to_dicts()
    edges = [f"{edge:g}" for edge in options.bands_bps]
    bands = [f"{lo}_{hi}bps" for lo, hi in zip(["0", *edges], edges, strict=False)]
    for row in rows:
        assert row["n_book"] == row["n_pair"] + row["n_break"]
        if row["n_book"]:
            assert row["micro_dev_bps"] == pytest.approx(row["imb_l0"] * row["spread_bps"] / 2, rel=1e-6, abs=1e-9)
            for side in ("bid", "ask"):
                for count in range(2, len(bands) + 1):
                    parts = [row[f"{side}_depth_{band}"] or 0.0 for band in bands[:count]]
                    cumulative = row[f"{side}_depth_cum_{edges[count - 1]}bps"]
                    assert cumulative == pytest.approx(math.fsum(parts), rel=1e-12)


@variants
def test_9_a_label_once_given_never_changes(options, seed):
    bronze = dirty(seed, options, events=800)
    edges = clock_edges(options, bronze, random.Random(seed), 6)
    whole = silver_of(bronze, options, watermark_us=edges[-1])
    final = compute_labels(whole, options=options, watermark_us=edges[-1])
    given = 0
    for edge in edges:
        early = compute_labels(whole.filter(pl.col("ts") <= edge), options=options, watermark_us=edge)
        later = final.filter(pl.col("ts") <= edge)
        for name in (c for c in early.columns if c.startswith("fwd_")):
            is_given = early[name].is_not_null()
            given += is_given.sum()
            assert early[name].filter(is_given).equals(later[name].filter(is_given)), (edge, name)
    assert given > 100


@variants
def test_10_no_nan_and_no_infinity_anywhere(options, seed):
    bronze = dirty(seed, options, dirt=0.3)
    silver = silver_of(bronze, options)
    tables = [
        silver,
        compute_bars(silver, options=options),
        compute_labels(silver, options=options),
        compute_vpin(silver, options=options),
        compute_cross_venue(silver, {"other": silver_of(dirty(seed + 1, options), options)}, options=options),
    ]
    for table in tables:
        for name, dtype in table.schema.items():
            if dtype.is_float():
                assert table[name].is_finite().all(), name
