"""What a column is: its name, type, meaning and rules. Tables, docs, Dagster metadata and tests derive from this.

A feature is declared once, by the decorator `feature` above the function that computes it. No feature lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import polars as pl

from fluxforge_collector.config.features import FeatureOptions


class Dtype(StrEnum):
    """Type of a stored column."""

    F64 = "Float64"
    U32 = "UInt32"
    I64 = "Int64"
    I8 = "Int8"
    STRING = "String"

    @property
    def polars(self) -> type[pl.DataType]:
        """The polars type."""
        dtype: type[pl.DataType] = getattr(pl, self.value)
        return dtype


class Kind(StrEnum):
    """Where a column's value comes from."""

    KEY = "key"
    STATIC = "static"
    FLOW = "flow"
    AGE = "age"
    ROLLING = "rolling"
    BAR = "bar"
    LABEL = "label"
    GOLD = "gold"


class Merge(StrEnum):
    """How a bucket's value merges into a longer window's."""

    NONE = "none"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    CHAN = "chan"


@dataclass(frozen=True, slots=True)
class Column:
    """One stored column, fully named."""

    name: str
    dtype: Dtype
    family: str
    kind: Kind
    unit: str
    null: str
    description: str
    formula: str = ""
    source: str = ""
    merge: Merge = Merge.NONE
    trades: bool = False
    core: bool = True


Binding = Mapping[str, Any]
"""Values of the placeholders of one name pattern; formatted into the name and passed to the function."""


def once(options: FeatureOptions) -> Iterable[Binding]:
    """One column, whatever the options."""
    del options
    return ({},)


@dataclass(frozen=True)
class Feature:
    """A declared feature: a name pattern, the placeholder values the options give it, and the function behind it."""

    pattern: str
    family: str
    kind: Kind
    compute: Callable[..., Any]
    unit: str
    null: str
    formula: str
    source: str
    over: Callable[[FeatureOptions], Iterable[Binding]] = once
    dtype: Dtype = Dtype.F64
    merge: Merge = Merge.NONE
    trades: bool = False
    core: bool = True
    min_buckets: int = 1
    description: str = field(default="", kw_only=True)

    def bindings(self, options: FeatureOptions) -> dict[str, Binding]:
        """Column name → placeholder values, in order."""
        return {self.pattern.format(**b): b for b in self.over(options)}

    def columns(self, options: FeatureOptions, suffix: str = "") -> list[Column]:
        """The columns these options create; `suffix` is a window's (`_5s`) or empty."""
        return [
            Column(
                name + suffix, self.dtype, self.family, self.kind, self.unit, self.null, self.description,
                self.formula, self.source, self.merge, self.trades, self.core,
            )
            for name in self.bindings(options)
        ]  # fmt: skip


def feature(
    registry: list[Feature],
    pattern: str,
    *,
    family: str,
    kind: Kind,
    unit: str,
    null: str = "never",
    formula: str = "",
    source: str = "",
    over: Callable[[FeatureOptions], Iterable[Binding]] = once,
    dtype: Dtype = Dtype.F64,
    merge: Merge = Merge.NONE,
    trades: bool = False,
    core: bool = True,
    min_buckets: int = 1,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated function as a feature of `registry`; its docstring's first line is the description."""

    def declare(compute: Callable[..., Any]) -> Callable[..., Any]:
        description = (compute.__doc__ or "").strip().split("\n")[0]
        registry.append(
            Feature(
                pattern, family, kind, compute, unit, null, formula, source, over, dtype, merge, trades, core,
                min_buckets, description=description,
            )
        )  # fmt: skip
        return compute

    return declare
