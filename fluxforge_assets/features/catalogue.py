"""The columns of silver: which the options create and store, in order."""

from __future__ import annotations

from functools import cache

from fluxforge_assets.features import ages, bands, depth, impact, prices, shape
from fluxforge_assets.features.fingerprint import fingerprint
from fluxforge_assets.features.quality import KEY
from fluxforge_assets.features.registry import AGE, STATIC, by_family
from fluxforge_assets.features.rolling import rolling_columns
from fluxforge_assets.features.statistics import statistics
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions

FAMILY_FILES = (prices, depth, bands, shape, impact, ages)
"""The files that declare features of single rows; importing them fills the registries."""

__all__ = ["all_columns", "fingerprint", "silver_columns"]

_ALWAYS_STORED = frozenset({"key", "G", "H", "I"})


@cache
def all_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """Every column these options create, whatever families they store, in catalogue order."""
    stored = statistics(options)
    return (
        *KEY,
        *(c for c in stored if c.family == "key"),
        *(c for declared in by_family(STATIC) for c in declared.columns(options)),
        *(c for c in stored if c.family != "key"),
        *(c for declared in AGE for c in declared.columns(options)),
        *rolling_columns(options),
    )


def silver_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of silver under `options.families`, in order.

    A list of families also stores the statistics every window merges (key, G, H, I) and the static columns that
    windows and bars read, so that a family not stored can still be computed from what is.
    """
    columns = all_columns(options)
    if options.families == "all":
        return columns
    if options.families == "core":
        return tuple(c for c in columns if c.core)
    merged = {"mid", "spread_bps", "microprice", "imb_l0", f"imb_top{min(5, options.max_levels)}"}
    families = _ALWAYS_STORED.union(options.families)
    return tuple(c for c in columns if c.family in families or c.name in merged)


FAMILY_TITLES = {
    "key": "Key and quality",
    "A": "Prices and sizes",
    "B": "Mid, spread, fair value",
    "C": "Depth and imbalance by level",
    "D": "Basis-point bands",
    "E": "Shape",
    "F": "Distance-weighted pressure and taking cost",
    "G": "Event moments",
    "H": "Pair flows",
    "I": "Trade flows",
    "R": "Ages, latency, seasonality",
    "J": "Activity and coverage",
    "K": "Returns",
    "L": "Volatility, jumps, autocorrelation",
    "M": "Order flow imbalance",
    "N": "Book flow",
    "O": "Spread, regime, state averages, resiliency",
    "P": "Trade flow and liquidity",
    "Q": "Rolling only",
}
"""What each family is about, in catalogue order."""
