"""The table of labels: its rows, columns and finality (catalogue 3.4, 10). The labels are in `forward`."""

from __future__ import annotations

import numpy as np
import polars as pl

from fluxforge_assets.features.quality import KEY
from fluxforge_assets.gold.rows import as_table, require, span
from fluxforge_assets.labels.forward import LABELS, NEEDED, Future
from fluxforge_assets.tables import Column, Dtype, Kind
from fluxforge_collector.config.features import FeatureOptions


def label_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of the label table."""
    end = Column(
        "label_end_ts", Dtype.I64, "label", Kind.LABEL, "us", "never",
        "End of the row's longest label window: purge training rows by (ts, label_end_ts].",
        "T + max(lag + longest label horizon, longest realised-spread horizon)",
    )  # fmt: skip
    return (*KEY, *(c for f in LABELS for c in f.columns(options)), end)


def longest_label_us(options: FeatureOptions) -> int:
    """How far the longest label window reaches beyond its row, µs."""
    return max(
        span(options.label_lag).us + max((span(h).us for h in options.label_horizons), default=0),
        max((span(h).us for h in options.rs_horizons), default=0),
    )


def compute_labels(
    silver: pl.DataFrame,
    *,
    options: FeatureOptions,
    watermark_us: int | None = None,
    from_us: int | None = None,
) -> pl.DataFrame:
    """Labels of every silver row with `from_us < ts ≤ watermark_us`; each value looks ahead of its row.

    A label is null until its whole window ends at or before the watermark; once given, more data never changes it.

    Args:
        silver: rows of one instrument; to reproduce rows after `from_us`, those from `from_us − max_gap` on.
        options: label_horizons, label_lag, rs_horizons, max_gap, hf_emit_interval.
        watermark_us: everything captured before it is in `silver`; default: the last row's `ts`.
        from_us: leave out rows up to this time.

    Returns: `exchange, symbol, ts`, the labels, `label_end_ts`.
    Raises: DataError where `silver` lacks a column, mixes instruments or repeats a `ts`.
    """
    rows = require(silver, NEEDED, "labels")
    last = int(rows["ts"][-1]) if rows.height else 0
    watermark = last if watermark_us is None else watermark_us
    rows = rows.filter(pl.col("ts") <= watermark)
    future = Future(rows, options, watermark)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {name: f.compute(future, **binding) for f in LABELS for name, binding in f.bindings(options).items()}
    values["label_end_ts"] = future.ts + longest_label_us(options)
    table = as_table(rows, values, label_columns(options))
    return table if from_us is None else table.filter(pl.col("ts") > from_us)
