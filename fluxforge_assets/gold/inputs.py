"""Which silver partitions each gold table reads, as pure functions of options and instrument keys."""

from __future__ import annotations

from collections.abc import Iterable

from fluxforge_assets.gold import cross_venue, vpin
from fluxforge_assets.gold.rows import DAY_US
from fluxforge_assets.labels.table import longest_label_us
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.instruments import Instrument


def label_days(options: FeatureOptions) -> range:
    """Days read for the labels of day 0: the one before for the as-of mid, those after for the look-ahead."""
    return range(-_days(options.max_gap_us), _days(longest_label_us(options)) + 1)


def vpin_days(options: FeatureOptions) -> range:
    """Days read for the volume buckets of day 0."""
    del options
    return range(-vpin.DAYS_BEFORE, 1)


def cross_venue_days(options: FeatureOptions) -> range:
    """Days read of every venue for the rows of day 0."""
    return range(-_days(cross_venue.lookback_us(options)), 1)


def training_days(options: FeatureOptions) -> range:
    """Days whose moments train the loadings of day 0, which is not one of them."""
    return range(-options.pca_days, 0)


def venue_groups(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each instrument key with those of the same unified symbol on other exchanges, sorted.

    Spot and derivatives of one pair are not grouped: their difference is basis, as between USD and USDT.
    Raises: InstrumentError where a key is none.
    """
    by_symbol: dict[str, list[str]] = {}
    for key in sorted(keys):
        by_symbol.setdefault(Instrument.from_key(key).symbol, []).append(key)
    return {key: tuple(k for k in group if k != key) for group in by_symbol.values() for key in group}


def _days(length_us: int) -> int:
    """Whole days that hold a length of time."""
    return -(-length_us // DAY_US)
