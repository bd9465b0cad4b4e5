"""`config check` shows which columns an option creates: none is named twice over, none is left out."""

from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.options import columns_by_option
from fluxforge_collector.config.features import FeatureOptions


def test_an_option_names_the_columns_it_creates():
    created = columns_by_option(FeatureOptions(families="all", horizons=(1, 5), wmid_levels=(3,)))
    assert created["wmid_levels"] == ["wmid_top3_dev_bps"]
    assert "ofi_l0_sum_5s" in created["horizons"]
    assert "ofi_l0_sum_1s" not in created["horizons"]
    assert "imb_10_25bps" in created["bands_bps"]
    assert "bid_price_l9" in created["max_levels"]
    assert "ofi_l3" in created["ofi_levels"]
    assert "bars.ofi_l3_sum" in created["ofi_levels"]


def test_every_named_column_is_stored():
    options = FeatureOptions()
    stored = {column.name for column in silver_columns(options)}
    for columns in columns_by_option(options).values():
        assert {c for c in columns if not c.startswith("bars.")} <= stored
