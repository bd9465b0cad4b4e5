"""Feature options: the keys of the feature catalogue's section 1, with their defaults and their limits."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from fluxforge_collector.config.section import Section

MICROSECONDS = 1_000_000
FAMILIES = "ABCDEFGHIJKLMNOPQR"


def _whole_us(seconds: float) -> int:
    """Seconds as whole microseconds. Raises: ValueError where they are not whole or not positive."""
    us = round(seconds * MICROSECONDS)
    if us <= 0 or abs(us - seconds * MICROSECONDS) > 1e-3:
        raise ValueError(f"{seconds:g} s is not a positive whole number of microseconds")
    return us


def _nameable(values: tuple[float, ...]) -> tuple[float, ...]:
    """The values themselves. Raises: ValueError where two would give one column name, which holds six digits."""
    if len({f"{v:g}" for v in values}) != len(values):
        raise ValueError("values that agree to six digits would share a column")
    return values


class FeatureOptions(Section):
    """What is computed and how; all but `families` change stored values, so a change is a new dataset version."""

    model_config = ConfigDict(allow_inf_nan=False)

    families: Literal["core", "all"] | tuple[str, ...] = Field(
        "core", description="families to store: core, all, or a list of letters A to R"
    )
    hf_emit_interval: float = Field(1.0, gt=0, description="length of a bucket, s")
    max_levels: int = Field(10, ge=2, le=1000, description="levels given as columns and used by level features")
    depth_levels: int | None = Field(
        None,
        ge=2,
        le=10_000,
        description="levels read for bands, reach, impact and add/remove; default max_levels",
    )
    ofi_levels: int = Field(10, ge=1, description="levels of multi-level OFI, at most max_levels")
    ofi_decay_alpha: float = Field(0.5, ge=0, description="decay of OFI weights by level")
    bands_bps: tuple[float, ...] = Field((5, 10, 25, 50), min_length=1, description="upper edges of depth bands, bps")
    wmid_levels: tuple[int, ...] = Field((3, 5, 10), description="levels of the weighted mids")
    decay_bps: float = Field(10.0, gt=0, description="e-folding distance of decayed depth, bps")
    impact_notionals: tuple[float, ...] = Field((1e3, 1e4, 1e5), description="notionals of taking cost, quote")
    horizons: tuple[float, ...] = Field((1, 5, 30, 60), min_length=1, description="rolling windows, s")
    bar_durations: tuple[float, ...] = Field((1, 5, 30, 60), min_length=1, description="bar lengths, s")
    max_gap: float = Field(60.0, gt=0, description="a longer step breaks a pair, s")
    tight_spread_bps: float = Field(1.0, ge=0, description="a spread at most this is tight, bps")
    wide_spread_bps: float = Field(10.0, ge=0, description="a spread at least this is wide, bps")
    large_trade_notional: float = Field(10_000.0, gt=0, description="a trade of at least this is large, quote")
    vr_q: int = Field(5, ge=2, le=100, description="lag of the variance ratio, buckets")
    side_fallback: Literal["quote", "exclude"] = Field("quote", description="sign of a trade without a side")
    tick_size: float | None = Field(None, gt=0, description="price increment, quote; only for spread_ticks")
    label_horizons: tuple[float, ...] = Field((5, 10, 30, 60, 300, 900, 3600, 14400), description="look-ahead, s")
    label_lag: float = Field(0.0, ge=0, description="delay between row time and label start, s")
    rs_horizons: tuple[float, ...] = Field((5, 30), description="realised-spread horizons, s")
    vpin_buckets_per_day: int = Field(50, ge=1, description="volume buckets a day")
    vpin_window: int = Field(50, ge=1, description="volume buckets averaged")
    vpin_min: int = Field(20, ge=1, description="least volume buckets for a value")
    xv_max_age: float = Field(5.0, gt=0, description="age at which another venue's mid is no longer live, s")
    xv_horizons: tuple[float, ...] = Field((5, 60), description="cross-venue return gaps, s")
    xv_corr_horizon: float = Field(60.0, gt=0, description="cross-venue lead and lag correlation, s")
    pca_days: int = Field(5, ge=1, description="training days of integrated OFI")
    pca_min_rows: int = Field(1000, ge=2, description="least training rows of integrated OFI")

    @field_validator("families", mode="after")
    @classmethod
    def _known_families(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple):
            unknown = [f for f in value if len(f) != 1 or f not in FAMILIES]
            if unknown:
                raise ValueError(f"unknown families {unknown}; the families are the letters A to R")
        return value

    @field_validator("bands_bps", "horizons", "bar_durations", "label_horizons", "rs_horizons", "xv_horizons")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(v <= 0 for v in value) or any(b <= a for a, b in pairwise(value)):
            raise ValueError("values must be positive and increasing")
        return _nameable(value)

    @field_validator("wmid_levels", "impact_notionals")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(v <= 0 for v in value) or len(set(value)) != len(value):
            raise ValueError("values must be positive and distinct")
        return _nameable(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        step = self.bucket_us
        if step > self.max_gap_us:
            raise ValueError("hf_emit_interval must be at most max_gap")
        if self.ofi_levels > self.max_levels:
            raise ValueError(f"ofi_levels ({self.ofi_levels}) must be at most max_levels ({self.max_levels})")
        if self.depth_levels is not None and self.depth_levels < self.max_levels:
            raise ValueError(f"depth_levels ({self.depth_levels}) must be at least max_levels ({self.max_levels})")
        if self.tight_spread_bps > self.wide_spread_bps:
            raise ValueError("tight_spread_bps must be at most wide_spread_bps")
        if self.horizons[-1] > 3600:
            raise ValueError("horizons reach at most 3600 s")
        multiples = ("horizons", "bar_durations", "label_horizons", "rs_horizons", "xv_horizons")
        for key in multiples:
            for value in getattr(self, key):
                if _whole_us(value) % step:
                    raise ValueError(f"{key}: {value:g} s is not a multiple of hf_emit_interval")
        if _whole_us(self.xv_corr_horizon) % step or round(self.label_lag * MICROSECONDS) % step:
            raise ValueError("xv_corr_horizon and label_lag must be multiples of hf_emit_interval")
        return self

    @property
    def bucket_us(self) -> int:
        """Length of a bucket, µs."""
        return _whole_us(self.hf_emit_interval)

    @property
    def max_gap_us(self) -> int:
        """The longest step that is no break, µs."""
        return _whole_us(self.max_gap)

    @property
    def depth(self) -> int:
        """M of the catalogue: levels read from a snapshot."""
        return self.depth_levels or self.max_levels

    @property
    def horizons_us(self) -> tuple[int, ...]:
        """Rolling windows, µs."""
        return tuple(_whole_us(h) for h in self.horizons)

    @property
    def bar_durations_us(self) -> tuple[int, ...]:
        """Bar lengths, µs."""
        return tuple(_whole_us(d) for d in self.bar_durations)

    @property
    def lookback_us(self) -> int:
        """How far before the first row events are needed to reproduce it exactly, µs (catalogue 3.5)."""
        step = self.bucket_us
        return 2 * self.horizons_us[-1] + (self.vr_q - 1) * step + 2 * self.max_gap_us + step
