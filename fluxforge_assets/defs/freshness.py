"""Freshness: how old the newest data of an asset may be before Dagster's page says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from fluxforge_collector.config.model import Config

WATCHED = ("bronze/orderbook", "silver/orderbook", "gold/bars")
"""What every segment brings forward; other channels may be silent for good reason."""


def with_freshness(config: Config, assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, those that real time feeds with a policy: a warning first, then a failure at twice the age."""
    age = timedelta(seconds=config.checks.max_age_seconds)
    policy = dg.FreshnessPolicy.time_window(fail_window=2 * age, warn_window=age)

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        return dg.apply_freshness_policy(spec, policy) if spec.key.to_user_string() in WATCHED else spec

    return [asset.map_asset_specs(add) for asset in assets]
