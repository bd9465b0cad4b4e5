"""Silver rows to bars: grouped merges of the stored statistics, all durations in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from fluxforge_assets.bars.columns import bar_columns, declared_columns
from fluxforge_assets.features.books import Float64Array, Int64Array
from fluxforge_assets.features.frames import empty_frame, frame_of
from fluxforge_assets.features.merging import Grouped, Grouping
from fluxforge_assets.features.window import Merged, Window
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

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

    Returns: one row per (exchange, symbol, bar_us, ts), in that order.

    Raises: DataError where columns are missing or not what silver stores, or a row's `ts` is double or off the grid.
    """
    options = options or FeatureOptions()
    _require(silver, options)
    frames = [
        bars
        for _, rows in silver.sort("exchange", "symbol", "ts").group_by("exchange", "symbol", maintain_order=True)
        for bars in _bars_of_instrument(rows, options, watermark_us, from_us)
    ]
    return pl.concat(frames) if frames else empty_frame(bar_columns(options))


def _require(silver: pl.DataFrame, options: FeatureOptions) -> None:
    needed = {"exchange", "symbol", "ts"}.union(*(bar.needs for bar in declared_columns(options)))
    missing = sorted(needed - set(silver.columns))
    if missing:
        raise DataError(f"silver lacks {len(missing)} columns bars need: {', '.join(missing[:8])}", _REMEDY)
    text = [c for c in sorted(needed - {"exchange", "symbol"}) if not silver.schema[c].is_numeric()]
    if text or not silver.schema["ts"].is_integer():
        raise DataError(f"silver columns are not numbers: {', '.join(text[:8]) or 'ts'}", _REMEDY)
    if silver["ts"].null_count() or (silver["ts"] % options.bucket_us != 0).any():
        raise DataError(
            f"a silver ts is not the end of a bucket of {options.hf_emit_interval:g} s",
            "configure the hf_emit_interval that silver was computed with",
        )
    if silver.select("exchange", "symbol", "ts").is_duplicated().any():
        raise DataError("silver has two rows of one instrument with the same ts", "drop the doubles")


def _bars_of_instrument(
    rows: pl.DataFrame, options: FeatureOptions, watermark_us: int | None, from_us: int | None
) -> Iterator[pl.DataFrame]:
    ts = rows["ts"].to_numpy()
    watermark_us = int(ts[-1]) if watermark_us is None else watermark_us
    groupings, ends = nested_groups(ts, options)
    columns = _FrameColumns(rows)
    merged = Merged(columns, Grouped(groupings), options, has_trades=columns.has_trades)
    for duration in options.bar_durations_us:
        length = duration // options.bucket_us
        first = 0 if from_us is None else int(np.searchsorted(ends[length], from_us, "right"))
        last = int(np.searchsorted(ends[length], watermark_us, "right"))
        if first < last:
            yield _frame(rows, Window(merged, length, length), ends[length], slice(first, last))


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
        groupings.append(Grouping(length, source, starts, np.diff(starts, append=len(end))))
        ends[length] = end[starts]
    return groupings, ends


def _frame(rows: pl.DataFrame, window: Window, ends: Int64Array, chosen: slice) -> pl.DataFrame:
    """The chosen bars of one instrument and duration."""
    options = window.options
    count = len(ends[chosen])
    values: dict[str, Any] = {
        name: pl.repeat(rows[name][0], count, dtype=pl.String, eager=True) for name in ("exchange", "symbol")
    }
    values["ts"] = ends[chosen]
    values["bar_us"] = np.full(count, window.buckets * options.bucket_us)
    for bar in declared_columns(options):
        if window.buckets < bar.declared.min_buckets:
            values[bar.column.name] = np.full(count, np.nan)
        else:
            values[bar.column.name] = bar.declared.compute(window, **bar.binding)[chosen]
    return frame_of(bar_columns(options), values)


class _FrameColumns(Mapping[str, Float64Array]):
    """Columns of a frame as float64 arrays, NaN for null, each converted when first read."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._rows = rows
        self._known: dict[str, Float64Array] = {}

    @property
    def has_trades(self) -> bool:
        """Whether the trades feed was collected at any row."""
        return "n_trade" in self._rows.columns and self._rows["n_trade"].null_count() < self._rows.height

    def __getitem__(self, name: str) -> Float64Array:
        if name not in self._known:
            self._known[name] = self._rows[name].cast(pl.Float64).to_numpy()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.columns)

    def __len__(self) -> int:
        return self._rows.width
