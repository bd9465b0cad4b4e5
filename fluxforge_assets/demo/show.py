"""What the demo shows a person: the live table, and the newest bars with the commands to go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from fluxforge_assets.demo.layout import Layout
from fluxforge_assets.demo.status import Status

BAR_COLUMNS = ("mid_open", "mid_high", "mid_low", "mid_close", "vol", "n_trade", "ofi_l0_sum")


def table(status: Status, frames: int | None, seconds: float, page: str | None) -> Table:
    """One screen of where the demo stands."""
    lag = status.lag_seconds
    counts = {
        "frames sent": "–" if frames is None else f"{frames:,}",
        "bronze rows": f"{status.bronze_rows:,}",
        "segments": f"{status.segments:,} ({status.waiting} waiting)",
        "silver rows": f"{status.silver_rows:,}",
        "bars": f"{status.bar_rows:,}",
        "partitions": f"{status.partitions}",
        "gaps": f"{status.gaps}",
        "quarantined": f"{status.quarantined}",
        "lag": "–" if lag is None else f"{lag:.0f} s behind now",
    }
    shown = Table(title=f"FluxForge demo · {seconds:.0f} s · {page or 'no page'}", title_justify="left", expand=False)
    for name in counts:
        shown.add_column(name, justify="right")
    shown.add_row(*counts.values())
    return shown


def line(status: Status, frames: int | None, seconds: float) -> str:
    """The same on one line, where the output is no terminal."""
    lag = "–" if status.lag_seconds is None else f"{status.lag_seconds:.0f} s"
    return (
        f"{seconds:4.0f} s  frames {frames or 0:,}  bronze {status.bronze_rows:,}  segments {status.segments}"
        f"  silver {status.silver_rows:,}  bars {status.bar_rows:,}  gaps {status.gaps}  lag {lag}"
    )


def newest_bars(layout: Layout, duration_us: int) -> pl.DataFrame:
    """The newest bar of each instrument of one duration."""
    pattern = layout.lake / "processed" / "*" / "orderbook" / "bars" / "*" / "*" / "*" / "part-*.parquet"
    bars = pl.scan_parquet(str(pattern), hive_partitioning=False, missing_columns="insert", extra_columns="ignore")
    newest = bars.filter(pl.col("bar_us") == duration_us).sort("ts").group_by("exchange", "symbol").last()
    wanted = [c for c in BAR_COLUMNS if c in newest.collect_schema().names()]
    end = pl.from_epoch("ts", time_unit="us").dt.strftime("%H:%M:%S").alias("bar end, UTC")
    return newest.sort("exchange", "symbol").select("exchange", "symbol", end, *wanted).collect()


def bars_table(frame: pl.DataFrame, title: str) -> Table:
    """A frame of bars as a table."""
    shown = Table(title=title, title_justify="left")
    for name, dtype in frame.schema.items():
        shown.add_column(name, justify="right" if dtype.is_numeric() else "left")
    for row in frame.iter_rows():
        shown.add_row(*(_cell(value) for value in row))
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,.8g}" if isinstance(value, float) else str(value)


def next_steps(layout: Layout) -> Iterable[str]:
    """The exact commands to go on with."""
    variables = f"FLUXFORGE_CONFIG={layout.config} DAGSTER_HOME={layout.dagster_home}"
    return (
        f"export {variables}",
        ".venv/bin/fluxforge query gold/bars --last 5m --limit 10",
        ".venv/bin/fluxforge query silver/orderbook --symbol BTC-USDT --columns ts,mid,spread_bps,imb_l0 --limit 10",
        ".venv/bin/dagster asset list -m fluxforge_assets.definitions",
    )


def summary(console: Console, report: Mapping[str, Any]) -> None:
    """The account at the end."""
    for name, value in report.items():
        console.print(f"{name}: {value}")
