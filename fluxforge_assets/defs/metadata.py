"""Metadata: what is said of an asset once, and of a partition at every materialisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from fluxforge_assets.defs.spark import Float64Array, spark
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.coverage import gaps_until
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.recent import recent
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.tables import Column

if TYPE_CHECKING:
    import polars as pl

OWNERS = ["team:research"]
PREVIEW_ROWS, PREVIEW_COLUMNS = 5, 9
_CURVES = {
    "silver/orderbook": ("spread_bps", "ofi_l0", "imb_l0"),
    "silver/trades": ("price", "amount"),
    "silver/ticker": ("mid", "spread_bps"),
    "gold/bars": ("mid_close", "vol"),
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
                description=_meaning(column),
                constraints=dg.TableColumnConstraints(nullable=column.null != "never"),
            )
            for column in columns
        ]
    )


def _meaning(column: Column) -> str:
    """Description, unit and formula, the last where it says more than the name."""
    unit = f"[{column.unit}]" if column.unit not in {"", "1"} else ""
    formula = f"= {column.formula}" if column.formula and column.formula != column.name else ""
    return " ".join(filter(None, (column.description, unit, formula)))


def of_change(lake: Lake, change: Change, archive: Archive) -> dict[str, Any]:
    """What is said of a partition when it changed: `from`, `to` and `rows_written` of the change, the rest of all."""
    gap_seconds, coverage = gaps_until(archive, change.place, change.to_us)
    shown: dict[str, Any] = {
        "dagster/partition_row_count": change.total_rows,
        "rows_written": change.rows,
        "from": instant(change.from_us),
        "to": instant(change.to_us),
        "bytes": change.size,
        "files": change.files,
        "null_rate": round(change.nulls / change.cells, 6) if change.cells else 0.0,
        "gap_seconds": round(gap_seconds, 3),
        "coverage": round(coverage, 6),
        "elapsed_seconds": round(change.seconds, 3),
        "rebuilt": change.is_rebuilt,
        "read": _command(change),
    }
    if change.tail.height:
        shown["preview"] = dg.MetadataValue.md(preview(change.tail, change.dataset))
    if curves := _curves(lake, change):
        shown["plot"] = dg.MetadataValue.md(spark(curves))
    return shown


def _command(change: Change) -> str:
    """The command that reads the partition."""
    exchange, _, symbol = change.place.instrument.key.partition(":")
    where = f"--exchange {exchange} --symbol {symbol} --date {change.place.date}"
    return f"fluxforge query {change.dataset.asset} {where}"


def _curves(lake: Lake, change: Change) -> dict[str, Float64Array]:
    """The newest values of the columns that are drawn."""
    import polars as pl

    wanted = _drawn(change)
    rows = recent(lake, change.dataset, change.place, wanted)
    return {name: rows[name].cast(pl.Float64).to_numpy() for name in wanted if name in rows.columns}


def _drawn(change: Change) -> tuple[str, ...]:
    """The columns drawn: the dataset's own choice, else its first two with values."""
    if change.dataset.asset in _CURVES:
        return _CURVES[change.dataset.asset]
    floats = [n for n, dtype in change.tail.schema.items() if dtype.is_float() and not change.tail[n].is_null().all()]
    return tuple(floats[:2])


def instant(time_us: int) -> dg.TimestampMetadataValue:
    """A time Dagster shows in the reader's own zone."""
    return dg.MetadataValue.timestamp(datetime.fromtimestamp(time_us / 1e6, UTC))


def preview(rows: pl.DataFrame, dataset: Dataset) -> str:
    """The newest rows as a Markdown table: the key, what is drawn, then the first columns with values."""
    apart = {"exchange", "symbol", "date", *dataset.key}
    names = [n for n in rows.columns if n not in apart and rows[n].null_count() < rows.height]
    first = [n for n in ("mid", *_CURVES.get(dataset.asset, ())) if n in names]
    chosen = [*dataset.key, *dict.fromkeys([*first, *names])][:PREVIEW_COLUMNS]
    shown = [[_cell(name, v) for name, v in row.items()] for row in rows.select(chosen).tail(PREVIEW_ROWS).to_dicts()]
    lines = ["| " + " | ".join(cells) + " |" for cells in (chosen, ["---"] * len(chosen), *shown)]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if name == "ts":
        return datetime.fromtimestamp(value / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{value:.8g}" if isinstance(value, float) else str(value)
