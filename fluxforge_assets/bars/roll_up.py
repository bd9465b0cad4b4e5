"""Silver rows to bars: grouped merges of the stored statistics, all durations in one table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from fluxforge_assets.bars.columns import bar_columns, declared_columns
from fluxforge_assets.features.books import Int64Array
from fluxforge_assets.features.frames import empty_frame, frame_of
from fluxforge_assets.features.grouping import Grouped, Grouping
from fluxforge_assets.features.window import Merged, Window
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

CHUNK_BUCKETS = 65536
"""Buckets rolled up at once."""

_REMEDY = "compute silver with the same configuration, or name here the families it was computed with"


def compute_bars(
    silver: pl.DataFrame,
    *,
    options: FeatureOptions | None = None,
    watermark_us: int | None = None,
    from_us: int | None = None,
) -> pl.DataFrame:
    """Bars of every duration in `options.bar_durations`, in the columns of `bar_columns(options)`.

    Args:
        silver: silver rows of one or more instruments, with at least the columns the bars are computed from.
        options: those silver was computed with; defaults without.
        watermark_us: a bar is final, and returned, where its end is at most this; the instrument's last `ts` without.
        from_us: only bars with ts > it are returned; rows must reach back one longest bar before it.

    Returns: one row per (exchange, symbol, bar_us, ts); instruments one after the other, bars of a duration ascending.

    Raises: DataError where columns are missing or not what silver stores, or a row's `ts` is double or off the grid.
    """
    options = options or FeatureOptions()
    needed = _needed(silver, options)
    frames = [
        frame
        for rows in _instruments(silver.select(needed))
        for frame in _bars_of_instrument(rows, options, watermark_us, from_us)
    ]
    return pl.concat(frames) if frames else empty_frame(bar_columns(options))


def _needed(silver: pl.DataFrame, options: FeatureOptions) -> list[str]:
    """The columns bars are computed from. Raises: DataError where one is missing or not a number."""
    needed = sorted({"ts"}.union(*(bar.needs for bar in declared_columns(options))))
    schema = silver.schema
    missing = sorted({"exchange", "symbol", *needed} - set(schema))
    if missing:
        raise DataError(f"silver lacks {len(missing)} columns bars need: {', '.join(missing[:8])}", _REMEDY)
    wrong = [name for name in needed if not (schema[name].is_numeric() or schema[name] == pl.Null)]
    if wrong or not schema["ts"].is_integer():
        raise DataError(f"silver columns are not numbers: {', '.join(wrong[:8]) or 'ts'}", _REMEDY)
    return ["exchange", "symbol", *needed]


def _instruments(silver: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows of each instrument, ascending in time."""
    is_one = silver.height and all((silver[name] == silver[name][0]).all() for name in ("exchange", "symbol"))
    if is_one and silver["ts"].is_sorted():
        yield silver
    else:
        yield from silver.sort("exchange", "symbol", "ts").partition_by("exchange", "symbol", maintain_order=True)


def _times(rows: pl.DataFrame, options: FeatureOptions) -> Int64Array:
    """Row times, µs. Raises: DataError where one is missing, double or off the grid."""
    if rows["ts"].null_count() or (rows["ts"] % options.bucket_us != 0).any():
        raise DataError(
            f"a silver ts is not the end of a bucket of {options.hf_emit_interval:g} s",
            "configure the hf_emit_interval that silver was computed with",
        )
    ts = rows["ts"].to_numpy()
    if (np.diff(ts) == 0).any():
        raise DataError("silver has two rows of one instrument with the same ts", "drop the doubles")
    return ts


def _bars_of_instrument(
    rows: pl.DataFrame, options: FeatureOptions, watermark_us: int | None, from_us: int | None
) -> Iterator[pl.DataFrame]:
    """The bars of one instrument, a duration of a chunk at a time."""
    ts = _times(rows, options)
    watermark_us = int(ts[-1]) if watermark_us is None else watermark_us
    has_trades = rows["n_trade"].null_count() < rows.height if "n_trade" in rows.columns else False
    names = [name for name in rows.columns if name not in {"exchange", "symbol", "ts"}]
    columns = {name: rows[name].cast(pl.Float64).to_numpy() for name in names}
    for chunk in _chunks(ts, options):
        groupings, ends = nested_groups(ts[chunk], options)
        chunked = {name: values[chunk] for name, values in columns.items()}
        merged = Merged(chunked, Grouped(groupings), options, has_trades=has_trades)
        for duration in options.bar_durations_us:
            length = duration // options.bucket_us
            first = 0 if from_us is None else int(np.searchsorted(ends[length], from_us, "right"))
            last = int(np.searchsorted(ends[length], watermark_us, "right"))
            if first < last:
                yield _frame(rows, Window(merged, length, length), ends[length], slice(first, last))


def _chunks(ts: Int64Array, options: FeatureOptions) -> Iterator[slice]:
    """Rows that share no bar with others, so that memory stays bounded where durations allow it."""
    whole = math.lcm(*options.bar_durations_us)
    span = whole * -(-CHUNK_BUCKETS * options.bucket_us // whole)
    starts = np.flatnonzero(np.diff((ts - 1) // span, prepend=-1)).tolist()
    for start, stop in pairwise((*starts, len(ts))):
        yield slice(start, stop)


def nested_groups(ts: Int64Array, options: FeatureOptions) -> tuple[list[Grouping], dict[int, Int64Array]]:
    """Groups of rows per duration, each put together from the longest shorter duration that divides it.

    `ts`: row times, ascending, µs. Returns the groupings, and the end of each bar, µs, by length in buckets.
    """
    ends = {0: ts}
    groupings = []
    for duration in options.bar_durations_us:
        length = duration // options.bucket_us
        source = max(shorter for shorter in ends if shorter == 0 or length % shorter == 0)
        end = -(-ends[source] // duration) * duration
        starts = np.flatnonzero(np.diff(end, prepend=end[0] - 1))
        groupings.append(Grouping(length, source, starts))
        ends[length] = end[starts]
    return groupings, ends


def _frame(rows: pl.DataFrame, window: Window, ends: Int64Array, chosen: slice) -> pl.DataFrame:
    """The chosen bars of one instrument and duration."""
    options = window.options
    count = len(ends[chosen])
    values: dict[str, Any] = {
        name: rows[name].new_from_index(0, count).cast(pl.String) for name in ("exchange", "symbol")
    }
    values["ts"] = ends[chosen]
    values["bar_us"] = np.full(count, window.buckets * options.bucket_us)
    for bar in declared_columns(options):
        if window.buckets < bar.declared.min_buckets:
            values[bar.column.name] = np.full(count, np.nan)
        else:
            values[bar.column.name] = bar.declared.compute(window, **bar.binding)[chosen]
    return frame_of(bar_columns(options), values)
