"""A plan covers each wanted partition once, in blocks whose runs are bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_assets.lake.backfill import Batch, estimate_seconds, plan

ASSETS = ("silver/orderbook", "gold/bars")
DAYS = [f"2026-11-{day:02}" for day in range(1, 31)]
NAMES = [f"okx:A{number}-USDT" for number in range(12)]


@given(
    st.dictionaries(
        st.sampled_from(ASSETS), st.sets(st.tuples(st.sampled_from(DAYS), st.sampled_from(NAMES)), max_size=60)
    ),
    st.integers(1, 40),
)
def test_every_partition_is_covered_once_and_no_block_is_too_large(wanted, size):
    keys = {asset: {f"{date}|{name}" for date, name in pairs} for asset, pairs in wanted.items()}
    batches = plan(keys, size)
    covered = [(asset, key) for batch in batches for asset in batch.assets for key in batch.keys]
    assert len(covered) == len(set(covered))
    assert set(covered) == {(asset, key) for asset, known in keys.items() for key in known}
    for batch in batches:
        assert max(len(batch.dates), len(batch.instruments)) <= size
        assert list(batch.keys) == sorted(batch.keys)


def test_assets_with_the_same_partitions_go_together_in_the_order_asked():
    key = f"{DAYS[0]}|{NAMES[0]}"
    other = f"{DAYS[1]}|{NAMES[0]}"
    assert plan({ASSETS[0]: [key], ASSETS[1]: [key, other]}, 31) == [
        Batch(ASSETS, (key,)),
        Batch((ASSETS[1],), (other,)),
    ]


@pytest.mark.parametrize(
    ("days", "names", "runs"), [(1, 5, 1), (3, 2, 2), (30, 12, 12)], ids=["a day", "two instruments", "a month"]
)
def test_a_rectangle_takes_a_run_per_row_or_column(days, names, runs):
    keys = tuple(sorted(f"{date}|{name}" for date in DAYS[:days] for name in NAMES[:names]))
    assert Batch(ASSETS, keys).runs == runs


def test_an_estimate_is_the_mean_of_the_past_and_the_cost_of_starting():
    batch = Batch(ASSETS, tuple(f"{DAYS[0]}|{name}" for name in NAMES[:3]))
    assert estimate_seconds([batch], {ASSETS[0]: [1.0, 3.0], ASSETS[1]: [0.5]}) == pytest.approx(4 + 3 * 2 + 3 * 0.5)
    assert estimate_seconds([batch], {ASSETS[0]: [1.0]}) is None
    assert estimate_seconds([], {}) == 0
