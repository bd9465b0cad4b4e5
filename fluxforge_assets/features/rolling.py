"""Rolling columns: every window feature over each horizon, at the rows or at any instants of the grid."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from fluxforge_assets.features import (
    activity,
    book_flow,
    moves,
    order_flow,
    rolling_only,
    state,
    trade_flow,
    volatility,
)
from fluxforge_assets.features.books import Float64Array, Int64Array
from fluxforge_assets.features.merging import Rolling
from fluxforge_assets.features.registry import WINDOWS, by_family
from fluxforge_assets.features.window import Columns, Merged, Window
from fluxforge_assets.tables import Binding, Column, Feature
from fluxforge_collector.config.features import FeatureOptions

FAMILY_FILES = (activity, moves, volatility, order_flow, book_flow, state, trade_flow, rolling_only)
"""The files that declare window features; importing them fills the registry."""

CHUNK_BUCKETS = 8192
"""Buckets of the grid merged at once: one statistic over all windows stays in the processor's cache."""


@dataclass(frozen=True)
class RollingColumn:
    """A window feature over one horizon."""

    column: Column
    declared: Feature
    binding: Binding
    buckets: int


def window_suffix(window_us: int) -> str:
    """A window's part of a column name: `_5s`, `_500ms` or `_250us`."""
    if window_us % 1_000_000 == 0:
        return f"_{window_us // 1_000_000}s"
    if window_us % 1000 == 0:
        return f"_{window_us // 1000}ms"
    return f"_{window_us}us"


@cache
def declared_columns(options: FeatureOptions) -> tuple[RollingColumn, ...]:
    """Every rolling column these options create, in catalogue order."""
    longest = options.horizons_us[-1]
    return tuple(
        RollingColumn(column, declared, binding, horizon // options.bucket_us)
        for declared in by_family(WINDOWS)
        for horizon in options.horizons_us
        if horizon // options.bucket_us >= declared.min_buckets
        and not (horizon == longest and declared.pattern in rolling_only.BELOW_LONGEST)
        for column, binding in zip(
            declared.columns(options, window_suffix(horizon)), declared.bindings(options).values(), strict=True
        )
    )


def rolling_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """Every rolling column these options create, whatever families they store, in catalogue order."""
    return tuple(rolling.column for rolling in declared_columns(options))


def rolling_values(
    bucket: Int64Array,
    values: Columns,
    start: int,
    options: FeatureOptions,
    names: Collection[str],
    *,
    at: Int64Array | None = None,
) -> dict[str, Float64Array]:
    """The rolling columns called `names`, at the rows from `start` on or at the buckets `at`.

    `bucket`: bucket index of each row, ascending; `values`: stored statistics of those rows by name, float64, NaN for
    null; rows must reach back twice the largest horizon. `at`: ascending bucket indices, with or without a row.
    Returns float64 arrays, NaN for null, in catalogue order. Where rows or instants are cut changes no bit.
    """
    wanted = [rolling for rolling in declared_columns(options) if rolling.column.name in names]
    instants = bucket[start:] if at is None else at
    found = {rolling.column.name: np.full(len(instants), np.nan) for rolling in wanted}
    longest = options.horizons_us[-1] // options.bucket_us
    lengths = tuple(sorted({1, longest, *(rolling.buckets for rolling in wanted)}))
    has_trades = bool(len(bucket)) and "n_trade" in values and not np.isnan(values["n_trade"][-1])
    for part in _chunks(instants, 2 * longest) if wanted else ():
        merged = _merged(bucket, values, instants[part], lengths, options, has_trades=has_trades)
        windows = {length: Window(merged, length, longest) for length in lengths}
        for rolling in wanted:
            found[rolling.column.name][part] = rolling.declared.compute(windows[rolling.buckets], **rolling.binding)
    return found


def _chunks(instants: Int64Array, reach: int) -> Iterator[slice]:
    """Neighbouring instants whose grid is bounded: a chunk ends where it is full or nothing connects to the next."""
    span = max(CHUNK_BUCKETS, reach)
    start = 0
    while start < len(instants):
        stop = int(np.searchsorted(instants, instants[start] + span))
        apart = np.flatnonzero(np.diff(instants[start:stop]) > reach)
        if len(apart):
            stop = start + int(apart[0]) + 1
        yield slice(start, stop)
        start = stop


def _merged(
    bucket: Int64Array,
    values: Columns,
    instants: Int64Array,
    lengths: tuple[int, ...],
    options: FeatureOptions,
    *,
    has_trades: bool,
) -> Merged:
    """Statistics on the grid of one chunk: from twice the largest window before its first instant to its last."""
    first = int(instants[0]) - 2 * lengths[-1] + 1
    rows = slice(*np.searchsorted(bucket, (first, instants[-1] + 1)).tolist())
    merger = Rolling(bucket[rows] - first, instants - first, int(instants[-1]) - first + 1, lengths)
    return Merged({name: column[rows] for name, column in values.items()}, merger, options, has_trades)
