"""The worked examples of the feature catalogue: every column the product and the twin give, and the hand-derived values.

`tests/data/features-examples.json` is the specification's own file; `hand_checked` values were derived by hand.
"""

import json
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from support.compare import differences
from support.dirty import book_frame, gap_frame, trade_frame
from support.twin import twin_bars, twin_labels, twin_silver

from fluxforge_assets.bars import compute_bars
from fluxforge_assets.features.silver import compute_silver
from fluxforge_assets.labels import compute_labels
from fluxforge_collector.config.features import FeatureOptions

EXAMPLES = json.loads((Path(__file__).parents[1] / "data/features-examples.json").read_text())["examples"]


class Tables(NamedTuple):
    """What an example expects, or what one implementation makes of it."""

    silver: list
    bars: list
    labels: list


def expected(example):
    tables = example["expected"]
    return Tables(tables["silver"], [bar for bars in tables["bars"].values() for bar in bars], tables["labels"])


def product(example):
    bronze, watermark = example["bronze"], example["watermark"]
    options = FeatureOptions(families="all", **example["config"])
    silver = compute_silver(
        book_frame(bronze["book"]),
        trade_frame(bronze["trades"]),
        gap_frame(bronze["gaps"]),
        options=options,
        watermark_us=watermark,
    )
    bars = compute_bars(silver, options=options, watermark_us=watermark).sort("bar_us", "ts")
    labels = compute_labels(silver, options=options, watermark_us=watermark)
    return Tables(silver.to_dicts(), bars.to_dicts(), labels.to_dicts())


def twin(example):
    bronze, watermark = example["bronze"], example["watermark"]
    options = FeatureOptions(families="all", **example["config"])
    silver = twin_silver(bronze["book"], bronze["trades"], bronze["gaps"], options, watermark)
    bars = twin_bars(silver, options, has_trades=bronze["trades"] is not None, watermark_us=watermark)
    return Tables(silver, bars, twin_labels(silver, options, watermark))


examples = pytest.mark.parametrize("example", EXAMPLES, ids=[e["name"] for e in EXAMPLES])
implementations = pytest.mark.parametrize("implementation", [product, twin])


@examples
@implementations
def test_every_silver_column_is_the_examples(example, implementation):
    assert differences(expected(example).silver, implementation(example).silver) == []


@examples
@implementations
def test_every_bar_column_is_the_examples(example, implementation):
    assert differences(expected(example).bars, implementation(example).bars, ("bar_us", "ts")) == []


@examples
@implementations
def test_every_label_is_the_examples(example, implementation):
    assert differences(expected(example).labels, implementation(example).labels) == []


@examples
@implementations
def test_values_derived_by_hand_are_found(example, implementation):
    tables = implementation(example)
    rows = {str(row["ts"]): row for row in tables.silver}
    checked = 0
    for ts, values in example["hand_checked"].items():
        for name, value in values.items():
            found = rows[ts][name]
            assert found == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)), (ts, name)
            checked += 1
    assert checked > 40


@examples
def test_the_columns_of_the_examples_are_declared_in_their_types(example):
    frame = compute_silver(
        book_frame(example["bronze"]["book"]),
        options=FeatureOptions(families="all", **example["config"]),
    )
    for name, dtype in frame.schema.items():
        if name.startswith("n_") or name in {"bid_levels", "ask_levels"} or name.endswith("_n"):
            assert dtype == pl.UInt32, name
        elif name == "ts" or name.endswith("_us") or name in {"last_book_ts", "sign_sum"}:
            assert dtype == pl.Int64, name
        elif name in {"hour_utc", "dow_utc", "is_weekend"}:
            assert dtype == pl.Int8, name
        else:
            assert dtype == (pl.String if name in {"exchange", "symbol"} else pl.Float64), name
