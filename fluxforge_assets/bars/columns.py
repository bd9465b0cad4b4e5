"""The columns of bars: their own and every window feature that silver, as configured, stores the statistics for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from fluxforge_assets.bars.own import OWN
from fluxforge_assets.features import rolling_only
from fluxforge_assets.features.books import Float64Array
from fluxforge_assets.features.catalogue import silver_columns
from fluxforge_assets.features.grouping import Grouped
from fluxforge_assets.features.registry import WINDOWS, by_family
from fluxforge_assets.features.window import Merged, Window
from fluxforge_assets.tables import Binding, Column, Dtype, Feature, Kind
from fluxforge_collector.config.features import FeatureOptions

KEY = (
    Column("exchange", Dtype.STRING, "key", Kind.KEY, "", "never", "Exchange of the instrument"),
    Column("symbol", Dtype.STRING, "key", Kind.KEY, "", "never", "Symbol of the instrument"),
    Column("ts", Dtype.I64, "key", Kind.KEY, "us", "never", "End of the bar: the first instant it may be known"),
    Column("bar_us", Dtype.I64, "key", Kind.KEY, "us", "never", "Duration of the bar"),
)  # fmt: skip
"""The key of a bar, unique together."""


@dataclass(frozen=True)
class BarColumn:
    """A feature of bars; `needs` are the silver columns it is computed from."""

    column: Column
    declared: Feature
    binding: Binding
    needs: frozenset[str]


def bar_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of bars, in order.

    A column whose statistics silver does not store under `options.families` does not exist. Durations of fewer
    buckets than a feature needs have it null, because all durations share one table.
    """
    return (*KEY, *(bar.column for bar in declared_columns(options)))


@cache
def declared_columns(options: FeatureOptions) -> tuple[BarColumn, ...]:
    """The columns after the key, with their features."""
    stored = {column.name for column in silver_columns(options)}
    most = max(options.bar_durations_us) // options.bucket_us
    found: dict[str, BarColumn] = {}
    for declared in (*OWN, *(w for w in by_family(WINDOWS) if w.family != rolling_only.FAMILY)):
        if declared.min_buckets > most:
            continue
        for column, (name, binding) in zip(declared.columns(options), declared.bindings(options).items(), strict=True):
            needs = _needs(declared, binding, options)
            if needs <= stored and name not in found:
                found[name] = BarColumn(replace(column, kind=Kind.BAR), declared, binding, needs)
    return tuple(found.values())


def _needs(declared: Feature, binding: Binding, options: FeatureOptions) -> frozenset[str]:
    """The silver columns a feature reads: found by computing it for no rows."""
    columns = _Noted()
    declared.compute(Window(Merged(columns, Grouped(()), options, has_trades=True), 0, 0), **binding)
    return frozenset(columns.noted)


@dataclass
class _Noted(Mapping[str, Float64Array]):
    """Columns without rows that note which of them were read."""

    noted: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Float64Array:
        self.noted.add(name)
        return np.empty(0)

    def __iter__(self) -> Iterator[str]:
        return iter(self.noted)

    def __len__(self) -> int:
        return len(self.noted)
