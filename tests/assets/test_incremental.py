"""Silver computed in steps, from batches, from history: what one pass over everything gives."""

import random

import polars as pl
import pytest
from support.compare import differences
from support.dirty import dirty
from support.tables import assert_identical, between, clock_edges

from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.silver import compute_silver, silver_frames
from fluxforge_collector.config.features import FeatureOptions

SMALL = FeatureOptions(families="all", horizons=(1, 5, 20), max_gap=10)
COARSE = FeatureOptions(families="all", hf_emit_interval=5, horizons=(5, 60), bar_durations=(5,), max_gap=20)
DEFAULT = FeatureOptions(families="all")
CORE = FeatureOptions(horizons=(1, 5, 20), max_gap=10)
variants = pytest.mark.parametrize(
    ("options", "seed"),
    [(SMALL, 201), (COARSE, 202), (DEFAULT, 203), (CORE, 204)],
    ids=["small-201", "5s-202", "default-203", "core-204"],
)


def batches(frame, rng):
    """The frame as record batches of random lengths, some of them empty."""
    table, at = frame.to_arrow(), 0
    while at < table.num_rows:
        length = rng.choice((0, 1, 2, 7, 40, 500))
        yield from table.slice(at, length).combine_chunks().to_batches()
        at += length


@variants
def test_where_batches_are_cut_changes_no_bit(options, seed):
    book, trades, gaps = dirty(seed, options, events=1200).frames()
    whole = compute_silver(book, trades, gaps, options=options)
    rng = random.Random(seed)
    for _ in range(3):
        frames = silver_frames(batches(book, rng), batches(trades, rng), gaps, options=options)
        assert_identical(pl.concat(frames), whole)


@variants
def test_with_history_only_the_last_events_are_needed(options, seed):
    """Rows so far and events from `from_us − 2·max_gap − Δ` give the rows of one pass."""
    bronze = dirty(seed, options, events=1500)
    edges = clock_edges(options, bronze, random.Random(seed), 12)
    whole = compute_silver(*bronze.frames(), options=options, watermark_us=edges[-1])
    history = whole.clear()
    for edge in edges:
        done = history["ts"].max() or 0
        reach = done - 2 * options.max_gap_us - options.bucket_us
        events = between(bronze, reach, edge).frames()
        new = compute_silver(
            *events, options=options, watermark_us=edge, from_us=done, history=history if history.height else None
        )
        history = pl.concat([history, new])
    assert differences(whole.to_dicts(), history.to_dicts()) == []


@variants
def test_a_watermark_holds_back_what_is_not_final(options, seed):
    bronze = dirty(seed, options, events=600)
    whole = compute_silver(*bronze.frames(), options=options)
    step = options.bucket_us
    for watermark in (0, whole["ts"][50], whole["ts"][50] + step - 1, whole["ts"][-1] - 1, whole["ts"][-1]):
        found = compute_silver(*bronze.frames(), options=options, watermark_us=watermark)
        assert_identical(found, whole.filter(pl.col("ts") <= watermark))


@variants
def test_from_us_leaves_out_rows_up_to_it(options, seed):
    bronze = dirty(seed, options, events=600)
    whole = compute_silver(*bronze.frames(), options=options)
    start = whole["ts"][40]
    for from_us in (start, start - 1, start + 1):
        found = compute_silver(*bronze.frames(), options=options, from_us=from_us)
        assert_identical(found, whole.filter(pl.col("ts") > from_us))


def test_without_rows_the_columns_remain():
    book, trades, gaps = dirty(1, SMALL, events=5).frames()
    empty = compute_silver(book.clear(), trades.clear(), gaps.clear(), options=SMALL)
    assert empty.schema == {c.name: c.dtype.polars() for c in silver_columns(SMALL)}
    assert empty.height == 0


def test_late_events_rebuild_to_the_same_rows():
    """Rows after a late segment's first event, computed again from the look-back, are those of one pass."""
    bronze = dirty(205, SMALL, events=900)
    rng = random.Random(205)
    whole = compute_silver(*bronze.frames(), options=SMALL)
    late_us = whole["ts"][rng.randrange(100, 300)] - 3
    first_us = late_us // SMALL.bucket_us * SMALL.bucket_us
    kept = compute_silver(*between(bronze, 0, late_us).frames(), options=SMALL, watermark_us=first_us)
    events = between(bronze, first_us - SMALL.lookback_us, bronze.end_us + 1)
    rebuilt = compute_silver(*events.frames(), options=SMALL, from_us=first_us)
    assert differences(whole.to_dicts(), pl.concat([kept, rebuilt]).to_dicts()) == []
