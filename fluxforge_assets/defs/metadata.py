"""Metadata: what is said of an asset once, and of a partition at every materialisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from fluxforge_assets.defs.spark import Float64Array, spark
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.coverage import gaps_until
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.recent import recent
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions

if TYPE_CHECKING:
    import polars as pl

OWNERS = ["team:research"]


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


def bar_lineage(options: FeatureOptions) -> dg.TableColumnLineage:
    """Which columns of silver each column of the bars is computed from."""
    from fluxforge_assets.bars.columns import declared_columns

    silver = dg.AssetKey(SILVER_ORDERBOOK.asset_key)
    return dg.TableColumnLineage(
        {
            bar.column.name: [dg.TableColumnDep(silver, name) for name in sorted(bar.needs)]
            for bar in declared_columns(options)
        }
    )


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
    if change.glimpse.height:
        shown["preview"] = dg.MetadataValue.md(preview(change.glimpse))
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
    floats = [name for name, dtype in change.glimpse.schema.items() if dtype.is_float()]
    return change.dataset.drawn or tuple(floats[:2])


def instant(time_us: int) -> dg.TimestampMetadataValue:
    """A time Dagster shows in the reader's own zone."""
    return dg.MetadataValue.timestamp(datetime.fromtimestamp(time_us / 1e6, UTC))


def preview(rows: pl.DataFrame) -> str:
    """Rows as a Markdown table."""
    shown = [[_cell(name, value) for name, value in row.items()] for row in rows.to_dicts()]
    lines = ["| " + " | ".join(cells) + " |" for cells in (rows.columns, ["---"] * rows.width, *shown)]
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    if name == "ts":
        return datetime.fromtimestamp(value / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{value:.8g}" if isinstance(value, float) else str(value)
