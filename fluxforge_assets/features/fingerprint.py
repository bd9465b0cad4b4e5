"""What identifies stored values: the columns, the options that shape them and the version of the code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions

CODE_VERSION = 1
"""Raised when the same columns and options give other values, so that what is stored is computed again."""

SHAPED: dict[str, re.Pattern[str]] = {
    "hf_emit_interval": re.compile(""),
    "max_gap": re.compile(""),
    "depth_levels": re.compile(""),
    "max_levels": re.compile(""),
    "ofi_levels": re.compile("ofi|depth_lk"),
    "ofi_decay_alpha": re.compile("ofi_decay"),
    "bands_bps": re.compile("depth_near|bps$"),
    "decay_bps": re.compile("decay$"),
    "horizons": re.compile("_ratio_"),
    "bar_durations": re.compile("^bar_us$"),
    "tight_spread_bps": re.compile("tight"),
    "wide_spread_bps": re.compile("wide"),
    "large_trade_notional": re.compile("large"),
    "vr_q": re.compile(r"^vr\d|^ret_ac\d"),
    "side_fallback": re.compile("buy|sell|sign|tfi|kyle|vpin|cancel|unsigned|inferred|fwd_realized|imbalance$"),
    "tick_size": re.compile("^spread_ticks$"),
    "label_lag": re.compile("^fwd_|^label_"),
    "label_horizons": re.compile("^label_"),
    "rs_horizons": re.compile("^label_"),
    "vpin_buckets_per_day": re.compile("^vpin"),
    "vpin_window": re.compile("^vpin"),
    "vpin_min": re.compile("^vpin"),
    "xv_max_age": re.compile("^xv_"),
    "pca_days": re.compile("^ofi_int"),
    "pca_min_rows": re.compile("^ofi_int"),
}
"""Per option, the columns whose values it changes. Those it only names are told apart by their names."""


def fingerprint(columns: Sequence[Column], options: FeatureOptions) -> str:
    """A short hash that changes when, and only when, values stored under these columns would.

    An option counts if a column of the table depends on it; `families` only through the columns it selects.
    """
    names = [column.name for column in columns]
    shaping = {
        key: _value(key, options) for key, pattern in SHAPED.items() if any(pattern.search(name) for name in names)
    }
    content = {
        "code": CODE_VERSION,
        "columns": [(column.name, column.dtype.value) for column in columns],
        "options": shaping,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _value(key: str, options: FeatureOptions) -> object:
    """An option as far as it matters: the depth that is read, not whether it was left to its default; 5 as 5.0."""
    value = options.depth if key == "depth_levels" else getattr(options, key)
    if isinstance(value, tuple):
        return [float(each) for each in value]
    return float(value) if isinstance(value, int) else value
