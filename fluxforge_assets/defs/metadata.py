"""Metadata: what is said of an asset once, and of a partition at every materialisation."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.tables import Column

if TYPE_CHECKING:
    import polars as pl

OWNERS = ["team:research"]
PREVIEW_ROWS, PREVIEW_COLUMNS = 5, 9
_PLOTTED = {
    "silver/orderbook": ("mid", "spread_bps"),
    "silver/trades": ("price", "amount"),
    "silver/ticker": ("mid", "spread_bps"),
    "gold/bars": ("mid_close", "vwap"),
    "gold/vpin": ("vpin", "imbalance"),
    "gold/cross_venue": ("xv_dev_bps", "xv_disp_bps"),
    "gold/ofi_integrated": ("ofi_int", "ofi_int_share"),
}


def column_schema(columns: Sequence[Column]) -> dg.TableSchema:
    """The declared columns as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.dtype.value,
                description=" ".join(filter(None, (column.description, _unit(column.unit), _formula(column.formula)))),
                constraints=dg.TableColumnConstraints(nullable=column.null != "never"),
            )
            for column in columns
        ]
    )


def _unit(unit: str) -> str:
    return f"[{unit}]" if unit else ""


def _formula(formula: str) -> str:
    return f"= {formula}" if formula else ""


def of_change(change: Change, *, gap_seconds: float, has_plot: bool = True) -> dict[str, Any]:
    """What is said of a partition when it changed."""
    span_s = (change.to_us - change.from_us) / 1e6
    shown: dict[str, Any] = {
        "dagster/partition_row_count": change.total_rows,
        "rows_written": change.rows,
        "from": instant(change.from_us),
        "to": instant(change.to_us),
        "bytes": change.size,
        "files": change.files,
        "null_rate": round(change.nulls / change.cells, 6) if change.cells else 0.0,
        "gap_seconds": round(gap_seconds, 3),
        "coverage": round(max(0.0, 1 - gap_seconds / span_s), 6) if span_s else 0.0,
        "elapsed_seconds": round(change.seconds, 3),
        "rebuilt": change.is_rebuilt,
    }
    if change.tail.height:
        shown["preview"] = dg.MetadataValue.md(preview(change.tail, change.dataset))
        if has_plot:
            shown["plot"] = dg.MetadataValue.md(plot(change.tail, _plotted(change)))
    return shown


def _plotted(change: Change) -> tuple[str, str]:
    """The columns drawn: the dataset's own choice, else its first two with values."""
    if change.dataset.asset in _PLOTTED:
        return _PLOTTED[change.dataset.asset]
    floats = [n for n, dtype in change.tail.schema.items() if dtype.is_float() and not change.tail[n].is_null().all()]
    names = [*floats, *change.dataset.key, "ts"]
    return names[0], names[1]


def instant(time_us: int) -> dg.TimestampMetadataValue:
    """A time Dagster shows in the reader's own zone."""
    return dg.MetadataValue.timestamp(datetime.fromtimestamp(time_us / 1e6, UTC))


def preview(rows: pl.DataFrame, dataset: Dataset) -> str:
    """The newest rows as a Markdown table: the key, then the first columns with values."""
    names = [n for n in rows.columns if n not in {"exchange", "symbol", "date"}]
    chosen = [*dataset.key, *(n for n in names if n not in dataset.key and rows[n].null_count() < rows.height)]
    chosen = chosen[:PREVIEW_COLUMNS]
    shown = [[_cell(name, v) for name, v in row.items()] for row in rows.select(chosen).tail(PREVIEW_ROWS).to_dicts()]
    lines = ["| " + " | ".join(cells) + " |" for cells in (chosen, ["---"] * len(chosen), *shown)]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if name == "ts":
        return datetime.fromtimestamp(value / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def plot(rows: pl.DataFrame, columns: tuple[str, str]) -> str:
    """The newest rows of two columns over time, as an image in Markdown."""
    from matplotlib.figure import Figure

    if "bar_us" in rows.columns:
        rows = rows.filter(rows["bar_us"] == rows["bar_us"].min())
    figure = Figure(figsize=(6, 2.4), dpi=72, layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    stamps = rows["ts"].cast(int).to_numpy().astype("datetime64[us]")
    for axis, name in zip(axes, columns, strict=True):
        if name in rows.columns:
            axis.plot(stamps, rows[name].to_numpy(), linewidth=1)
        axis.set_ylabel(name, fontsize=7)
        axis.tick_params(labelsize=6)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return f"![{' and '.join(columns)}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
