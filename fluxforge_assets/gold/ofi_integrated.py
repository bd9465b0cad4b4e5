"""Integrated OFI: order flow of all ranks on its first principal component (catalogue 13).

Source: Cont, Cucuringu & Zhang 2023. The loadings are fitted on the days before, so they change daily.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import polars as pl

from fluxforge_assets.features.quality import KEY
from fluxforge_assets.gold.rows import DAY_US, Float64Array, as_table, numbers, require, whole
from fluxforge_assets.tables import Column, Dtype, Kind
from fluxforge_collector.config.features import FeatureOptions


@dataclass(frozen=True, slots=True)
class Moments:
    """Mergeable statistic of one or more days: rows, mean vector (K,), co-moment matrix (K, K)."""

    n: int
    mean: Float64Array
    comoment: Float64Array

    @classmethod
    def of(cls, flows: Float64Array) -> Moments:
        """From flows of shape (n, K)."""
        ranks = flows.shape[1]
        if not len(flows):
            return cls(0, np.zeros(ranks), np.zeros((ranks, ranks)))
        mean = flows.mean(axis=0)
        centred = flows - mean
        return cls(len(flows), mean, centred.T @ centred)

    def merge(self, other: Moments) -> Moments:
        """Both together (Chan, Golub & LeVeque 1983)."""
        n = self.n + other.n
        if not n:
            return self
        step = other.mean - self.mean
        comoment = self.comoment + other.comoment + np.outer(step, step) * (self.n * other.n / n)
        return Moments(n, self.mean + step * (other.n / n), comoment)


@dataclass(frozen=True, slots=True)
class Loadings:
    """Weights (K,) whose absolute values add to 1, and the share of variance they explain."""

    weights: Float64Array
    share: float


def ofi_integrated_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of the integrated-OFI table."""
    del options
    source = "Cont, Cucuringu & Zhang 2023"
    untrained = "fewer than pca_min_rows training rows, or no variance in them"
    return (
        *KEY,
        Column(
            "ofi_int", Dtype.F64, "ofi_integrated", Kind.GOLD, "1", f"{untrained}, or no pair in the bucket",
            "Normalised order flow of all ranks, weighted by the first principal component of the days before.",
            "w·(ofi_l0 … ofi_l{K−1}) / depth_lk_mean", source,
        ),
        Column(
            "ofi_int_share", Dtype.F64, "ofi_integrated", Kind.GOLD, "1", untrained,
            "Share of variance of the first principal component; one value per day.", "λ₁ / trace C", source,
        ),
    )  # fmt: skip


def day_moments(day: pl.DataFrame, options: FeatureOptions) -> Moments:
    """The mergeable statistic of one day's silver rows of one instrument."""
    return Moments.of(_flows(_checked(day, options).filter(pl.col("n_pair") >= 1), options))


def loadings(days: Iterable[Moments], options: FeatureOptions) -> Loadings | None:
    """First principal component of the training days, oldest first; None with too few rows or no variance."""
    merged = reduce(Moments.merge, days, Moments.of(np.empty((0, options.ofi_levels))))
    if merged.n < options.pca_min_rows:
        return None
    covariance = merged.comoment / (merged.n - 1)
    total = float(np.trace(covariance))
    if not total > 0:
        return None
    values, vectors = np.linalg.eigh(covariance)
    first = vectors[:, -1] * (-1.0 if vectors[:, -1].sum() < 0 else 1.0)
    return Loadings(first / np.abs(first).sum(), float(values[-1]) / total)


def compute_ofi_integrated(
    day: pl.DataFrame,
    training: Iterable[Moments],
    *,
    options: FeatureOptions,
    watermark_us: int | None = None,
    from_us: int | None = None,
) -> pl.DataFrame:
    """One row per silver row of `day` with `from_us < ts ≤ watermark_us`.

    Args:
        day: silver rows of one instrument and one UTC day (by bucket start).
        training: `day_moments` of the `pca_days` days before it, oldest first; days without data left out.
        options: ofi_levels, pca_days, pca_min_rows.
        watermark_us: leave out rows after this time.
        from_us: leave out rows up to this time.

    Raises: DataError where `day` lacks a column, mixes instruments or repeats a `ts`.
    """
    rows = _checked(day, options)
    if watermark_us is not None:
        rows = rows.filter(pl.col("ts") <= watermark_us)
    if from_us is not None:
        rows = rows.filter(pl.col("ts") > from_us)
    fitted = loadings(training, options)
    values = {"ofi_int": np.full(rows.height, np.nan), "ofi_int_share": np.full(rows.height, np.nan)}
    if fitted is not None:
        values = {
            "ofi_int": _flows(rows, options) @ fitted.weights,
            "ofi_int_share": np.full(rows.height, fitted.share),
        }
    return as_table(rows, values, ofi_integrated_columns(options))


def by_day(silver: pl.DataFrame, options: FeatureOptions) -> dict[int, pl.DataFrame]:
    """Silver rows by UTC day of the bucket start (days since the epoch)."""
    day = (whole(silver, "ts") - options.bucket_us) // DAY_US
    return {int(d): silver.filter(pl.Series(day == d)) for d in np.unique(day)}


def _checked(silver: pl.DataFrame, options: FeatureOptions) -> pl.DataFrame:
    """The columns this table needs."""
    return require(silver, (*_ranks(options), "depth_lk_mean", "n_pair"), "integrated OFI")


def _ranks(options: FeatureOptions) -> tuple[str, ...]:
    """Columns of order flow by rank."""
    return tuple(f"ofi_l{k}" for k in range(options.ofi_levels))


def _flows(rows: pl.DataFrame, options: FeatureOptions) -> Float64Array:
    """Normalised flows (n, K); NaN where the bucket has no pair."""
    depth = numbers(rows, "depth_lk_mean")
    return np.column_stack([numbers(rows, name) for name in _ranks(options)]) / depth[:, None]
