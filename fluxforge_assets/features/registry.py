"""The declared features, by kind, in catalogue order. A family's file adds to them when it is imported.

Nothing is computed here; `silver.py` imports the family files in the order of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fluxforge_assets.tables import Binding, Dtype, Feature, Kind, Merge, once
from fluxforge_collector.config.features import FeatureOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STATIC: list[Feature] = []
"""Values of the bucket's last valid book: families A to F."""

FLOW: list[Feature] = []
"""Mergeable statistics of one bucket: identity and quality, families G, H, I."""

AGE: list[Feature] = []
"""Ages, latency, seasonality: family R."""

WINDOWS: list[Feature] = []
"""Values of a window of merged statistics: families J to Q."""


def accumulated(buckets: Mapping[str, npt.NDArray[np.float64]], name: str) -> npt.NDArray[np.float64]:
    """A statistic which the pass over the events has already accumulated under its own name."""
    return buckets[name]


def statistic(
    pattern: str,
    description: str,
    *,
    family: str,
    merge: Merge,
    unit: str,
    null: str = "never",
    formula: str = "",
    over: Callable[[FeatureOptions], Iterable[Binding]] = once,
    dtype: Dtype = Dtype.F64,
    trades: bool = False,
    core: bool = True,
) -> None:
    """Declare a stored statistic of one bucket."""
    FLOW.append(
        Feature(
            pattern, family, Kind.FLOW, accumulated, unit, null, formula, "", over, dtype, merge, trades, core,
            description=description,
        )
    )  # fmt: skip


def by_family(declared: Iterable[Feature]) -> list[Feature]:
    """Declarations in catalogue order, whatever order their files were imported in: key first, then A to R."""
    return sorted(declared, key=lambda one: (one.family != "key", one.family))
