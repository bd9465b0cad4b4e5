"""The declared columns of silver: how many, which are stored, their page."""

import re
from collections import Counter

import pytest

from fluxforge_assets.features.catalogue import all_columns, silver_columns
from fluxforge_assets.features.statistics import moments, statistics
from fluxforge_assets.tables import Dtype, Kind, Merge
from fluxforge_collector.config.features import FeatureOptions

COUNTS = {
    "key": 13, "A": 42, "B": 9, "C": 39, "D": 23, "E": 15, "F": 13, "G": 22, "H": 39, "I": 32, "R": 15, "J": 24,
    "K": 19, "L": 33, "M": 30, "N": 28, "O": 94, "P": 71, "Q": 17,
}  # fmt: skip


def test_the_defaults_give_the_columns_the_catalogue_counts():
    columns = silver_columns(FeatureOptions(families="all"))
    assert Counter(column.family for column in columns) == COUNTS
    assert len(columns) == 578
    assert len({column.name for column in columns}) == 578


def test_every_column_says_what_it_is():
    for column in silver_columns(FeatureOptions(families="all")):
        assert column.description
        assert column.null
        assert not re.search(r"\{[a-z]+\}", column.name + column.description)


def test_core_leaves_out_what_the_catalogue_calls_extended():
    names = {column.name for column in silver_columns(FeatureOptions())}
    assert {
        "bid_price_l9",
        "imb_cum_50bps",
        "ofi_l9",
        "ret_ac4",
        "vol_1s",
        "rvol_60s",
        "tfi_5s",
        "spread_z_30s",
    } <= names
    assert not {"bid_slope", "imb_decay", "bid_add", "rs_mx", "es_n", "dur_mean", "roll_sum", "bpv_5s", "bid_add_sum_1s",
                "kyle_lambda_5s", "resil_spread_5s", "lag_ms_mean_5s", "amihud_1s"} & names  # fmt: skip


def test_a_list_of_families_keeps_what_later_windows_merge():
    names = [column.name for column in silver_columns(FeatureOptions(families=("A", "K")))]
    assert {"bid_price_l0", "log_ret_5s", "es_n", "rs_mx", "mid", "spread_bps"} <= set(names)
    assert not {"bid_depth_top2", "rvol_5s", "hour_utc"} & set(names)
    order = [column.name for column in all_columns(FeatureOptions())]
    assert names == sorted(names, key=order.index)


def test_every_moment_merges_in_exactly_one_group():
    options = FeatureOptions()
    grouped = [
        name
        for group in moments(options)
        for name in (*group.means, *(m2 for _, m2 in group.m2s), *(both for *_, both in group.comoments))
    ]
    assert sorted(grouped) == sorted(c.name for c in statistics(options) if c.merge is Merge.CHAN)


@pytest.mark.parametrize("top", [2, 4, 10])
def test_names_follow_the_options(top):
    options = FeatureOptions(families="all", max_levels=top, ofi_levels=2, hf_emit_interval=0.5, horizons=(0.5, 2))
    names = {column.name for column in silver_columns(options)}
    assert {f"imb_top{min(5, top)}_mean", "ofi_l1", "cover_500ms", "cover_2s"} <= names
    assert not {"ofi_l2", f"bid_price_l{top}", "cover_1s"} & names


def test_types_are_those_of_the_catalogue():
    for column in silver_columns(FeatureOptions(families="all")):
        if column.kind is Kind.FLOW and column.name.startswith("n_"):
            assert column.dtype is Dtype.U32, column.name
        if column.name.endswith(("_us", "ts")) and column.kind is not Kind.STATIC:
            assert column.dtype is Dtype.I64, column.name
