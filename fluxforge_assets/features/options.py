"""Which columns each feature option creates: what `fluxforge config check` shows of the way from a key to its data."""

from __future__ import annotations

from typing import Any

from fluxforge_assets.bars import bar_columns
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_collector.config.features import FeatureOptions


def columns_by_option(options: FeatureOptions) -> dict[str, list[str]]:
    """Option → the silver and bar columns that would not exist with the least the option allows, in table order."""
    stored = _names(options)
    created = {}
    for key, value in _least(options).items():
        least = _names(options.model_copy(update={key: value}))
        created[key] = [name for name in stored if name not in least]
    return created


def _names(options: FeatureOptions) -> dict[str, None]:
    """Names of the stored columns, in order; a bar's is written `bars.name`."""
    names = dict.fromkeys(column.name for column in silver_columns(options))
    return names | dict.fromkeys(f"bars.{column.name}" for column in bar_columns(options))


def _least(options: FeatureOptions) -> dict[str, Any]:
    """The least value of each option that decides which columns exist."""
    return {
        "families": ("A",),
        "max_levels": 2,
        "ofi_levels": 1,
        "bands_bps": options.bands_bps[:1],
        "wmid_levels": (),
        "impact_notionals": (),
        "horizons": options.horizons[:1],
        "bar_durations": options.bar_durations[:1],
    }
