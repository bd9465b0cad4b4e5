"""The stored statistics of the rows before a block: what windows that end in the block reach back to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from fluxforge_assets.features.statistics import statistics
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

STATIC_INPUTS = ("mid", "spread_bps")
"""Static columns which windows read beside the stored statistics."""


@dataclass(slots=True)
class Past:
    """Rows ascending by bucket, NaN for null; `reach` is how many buckets before the next row are kept."""

    reach: int
    bucket: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    values: dict[str, Float64Array] = field(default_factory=dict)

    def joined(self, bucket: Int64Array, values: dict[str, Float64Array]) -> tuple[Int64Array, dict[str, Float64Array]]:
        """The rows after those kept. Raises: DataError where the kept rows lack a column."""
        if not len(self.bucket):
            return bucket, values
        missing = [name for name in values if name not in self.values]
        if missing:
            raise DataError(
                f"history: no column {', '.join(missing[:5])}", "pass rows computed with the same families and options"
            )
        joined = {name: np.concatenate([self.values[name], array]) for name, array in values.items()}
        return np.concatenate([self.bucket, bucket]), joined

    def keep(self, bucket: Int64Array, values: dict[str, Float64Array]) -> None:
        """Replace the kept rows by the newest of these."""
        start = int(np.searchsorted(bucket, bucket[-1] + 1 - self.reach))
        self.bucket = bucket[start:].copy()
        self.values = {name: array[start:].copy() for name, array in values.items()}


def past_of(history: pl.DataFrame | None, options: FeatureOptions, upto_us: int | None) -> Past:
    """The rows of earlier silver with ts ≤ `upto_us`, as far as windows after it reach back."""
    step = options.bucket_us
    past = Past(2 * options.horizons_us[-1] // step + options.vr_q)
    if history is None or history.is_empty():
        return past
    rows = history if upto_us is None else history.filter(pl.col("ts") <= upto_us)
    if rows.is_empty():
        return past
    rows = rows.sort("ts")
    past.keep(*stored_of(rows, options))
    return past


def stored_of(silver: pl.DataFrame, options: FeatureOptions) -> tuple[Int64Array, dict[str, Float64Array]]:
    """Bucket indices of silver rows, ascending in time, and what windows read of them, NaN for null."""
    names = [c.name for c in statistics(options)] + list(STATIC_INPUTS)
    return (
        silver["ts"].to_numpy() // options.bucket_us - 1,
        {name: silver[name].cast(pl.Float64).to_numpy() for name in names if name in silver.columns},
    )
