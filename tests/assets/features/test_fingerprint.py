"""The fingerprint changes when stored values would, and only then."""

import pytest

from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.fingerprint import SHAPED, fingerprint
from fluxforge_collector.config.features import FeatureOptions


def of(**options):
    chosen = FeatureOptions(**options)
    return fingerprint(silver_columns(chosen), chosen)


@pytest.mark.parametrize(
    "changed",
    [
        {"hf_emit_interval": 0.5},
        {"max_gap": 30},
        {"max_levels": 12},
        {"depth_levels": 20},
        {"ofi_levels": 5},
        {"ofi_decay_alpha": 1},
        {"bands_bps": (4, 10, 25, 50)},
        {"horizons": (1, 5, 30, 90)},
        {"tight_spread_bps": 0.5},
        {"wide_spread_bps": 20},
        {"large_trade_notional": 5},
        {"vr_q": 4},
        {"side_fallback": "exclude"},
        {"tick_size": 0.1},
        {"families": "all"},
    ],
    ids=str,
)
def test_an_option_that_changes_values_changes_it(changed):
    assert of(**changed) != of()


@pytest.mark.parametrize(
    "changed",
    [
        {"decay_bps": 5},  # its columns are not core
        {"impact_notionals": (5,)},
        {"label_lag": 5},
        {"label_horizons": (5,)},
        {"bar_durations": (1, 5)},
        {"vpin_window": 10},
        {"pca_days": 2},
        {"xv_max_age": 1},
        {"depth_levels": 10},  # the default said aloud
        {"bands_bps": (5.0, 10.0, 25.0, 50.0)},
    ],
    ids=str,
)
def test_an_option_that_changes_no_stored_value_does_not(changed):
    assert of(**changed) == of()


def test_a_column_of_another_family_changes_it_and_an_option_it_reads_counts_then():
    assert of(families="all") != of(families="all", decay_bps=5)
    assert of(families=("F",)) != of(families=("F",), decay_bps=5)


def test_every_option_named_exists():
    assert set(SHAPED) <= set(FeatureOptions.model_fields)
