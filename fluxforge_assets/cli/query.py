"""`fluxforge query`: rows of an asset or of files, filtered, as a table, CSV, JSON, Parquet or through SQL."""

from __future__ import annotations

import difflib
import fnmatch
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_assets.cli.paths import OnDisk, is_path, path_of
from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    import polars as pl

    from fluxforge_assets.lake.paths import Lake
    from fluxforge_assets.lake.reading import Wanted
    from fluxforge_collector.config.features import FeatureOptions
    from fluxforge_collector.storage.bucket import LakePath

TABLE_ROWS = 20
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIMES = ("ts", "last_book_ts", "label_end_ts")


@dataclass(frozen=True)
class Shape:
    """What of the rows is shown."""

    columns: str | None
    where: str | None
    sql: str | None
    limit: int | None
    last_us: int | None
    dense: FeatureOptions | None = None


@click.command()
@click.argument("dataset", metavar="PATH_OR_ASSET")
@click.option("--exchange", help="ccxt's id, such as binanceus")
@click.option("--symbol", help="BTC/USDT or BTC-USDT")
@click.option("--date", help="UTC date, such as 2026-11-24")
@click.option("--from", "start", help="first time, such as 2026-11-24T12:00 (UTC)")
@click.option("--to", "end", help="time after the last, as --from")
@click.option("--last", help="up to the newest row, such as 30s, 10m, 4h, 1d")
@click.option("--where", help='SQL condition, such as "spread_bps > 5 and n_book > 0"')
@click.option("--columns", help="names or patterns with commas: ts,mid,ofi_*")
@click.option("--limit", type=click.IntRange(min=1), help=f"newest rows only; a table shows {TABLE_ROWS} without it")
@click.option("--sql", help='a query on the table "data", instead of --where and --columns')
@click.option("--dense", is_flag=True, help="silver/orderbook with a row at every instant of its grid")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
@click.option("--out", type=OnDisk(path_type=Path, dir_okay=False), help="write to this file")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    dataset: str,
    exchange: str | None,
    symbol: str | None,
    date: str | None,
    start: str | None,
    end: str | None,
    last: str | None,
    where: str | None,
    columns: str | None,
    limit: int | None,
    sql: str | None,
    dense: bool,
    form: str,
    out: Path | None,
    config: Path | None,
) -> None:
    """Read rows of an asset (gold/bars, silver/orderbook, bronze/trades …) or of Parquet files, here or below s3://."""
    from fluxforge_assets.lake.paths import open_lake
    from fluxforge_assets.lake.reading import Wanted, known_assets, patiently

    if form == "parquet" and out is None:
        raise FluxForgeError("Parquet is no text", "name a file with --out")
    if sql and (where or columns):
        raise FluxForgeError("--sql says itself what --where and --columns would", "leave those out")
    if dense and dataset != "silver/orderbook":
        raise FluxForgeError(f"{dataset} has no grid to be dense on", "use --dense with silver/orderbook")
    settings = load_config(config)
    wanted = Wanted(exchange, symbol, _date(date), _instant(start), _instant(end))
    shown = limit or (TABLE_ROWS if form == "table" and not sql else None)
    options = settings.etl.channels.orderbook.processor_options if dense else None
    shape = Shape(columns, where, sql, shown, _length(last), options)
    lake = open_lake(settings)
    named = dataset if dataset in known_assets() or not is_path(dataset) else path_of(dataset, config)
    frame = patiently(lambda: rows(lake, named, wanted, shape))
    if form == "table":
        _show(frame, is_chosen=bool(columns or sql), out=out)
    else:
        _write(frame, form, out)


def rows(lake: Lake, dataset: str | LakePath, wanted: Wanted, shape: Shape) -> pl.DataFrame:
    """The rows asked for, of an asset or a path. Raises: FluxForgeError for what is unknown or cannot be understood."""
    import polars as pl
    from polars.exceptions import ColumnNotFoundError, PolarsError

    try:
        frame = _opened(lake, dataset, wanted, shape)
        if shape.sql:
            return pl.SQLContext(data=frame).execute(shape.sql, eager=True)
        if shape.where:
            frame = frame.filter(pl.sql_expr(shape.where))
        names = frame.collect_schema().names()
        if shape.columns:
            frame = frame.select(chosen(shape.columns, names))
        return (frame.tail(shape.limit) if shape.limit else frame).collect()
    except ColumnNotFoundError as error:
        known = _opened(lake, dataset, wanted, shape).collect_schema().names()
        named = re.search(r'"([^"]+)"', str(error))
        raise _unknown_column(named[1] if named else "?", known) from None
    except FileNotFoundError:
        raise
    except PolarsError as error:
        raise FluxForgeError(f"this cannot be answered: {str(error).splitlines()[0]}", "check the expression") from None


def _opened(lake: Lake, dataset: str | LakePath, wanted: Wanted, shape: Shape) -> pl.LazyFrame:
    """The rows of an asset or path; `--last` counts back from the newest of them."""
    from fluxforge_assets.cli.dense import dense_rows
    from fluxforge_assets.lake.reading import open_asset, open_path, time_column

    def opened(which: Wanted) -> pl.LazyFrame:
        return open_asset(lake, dataset, which) if isinstance(dataset, str) else open_path(dataset, which)

    def answer(which: Wanted) -> pl.LazyFrame:
        return opened(which) if shape.dense is None else dense_rows(lake, which, shape.dense).lazy()

    if shape.last_us is None:
        return answer(wanted)
    frame = opened(wanted)
    time = time_column(frame.collect_schema().names())
    if time is None:
        raise FluxForgeError("--last needs a column ts, capture_ts or gap_start", "leave it out")
    import polars as pl

    newest = frame.select(pl.col(time).cast(pl.Int64).max()).collect().item()
    return frame if newest is None else answer(replace(wanted, from_us=newest - shape.last_us + 1))


def chosen(patterns: str, known: Sequence[str]) -> list[str]:
    """The columns that names and patterns choose, in the order asked. Raises: FluxForgeError with the nearest name."""
    found: dict[str, None] = {}
    for pattern in filter(None, (p.strip() for p in patterns.split(","))):
        matched = fnmatch.filter(known, pattern)
        if not matched:
            raise _unknown_column(pattern, known)
        found |= dict.fromkeys(matched)
    return list(found)


def _unknown_column(name: str, known: Sequence[str]) -> FluxForgeError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return FluxForgeError(
        f"there is no column {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known[:20])} …",
    )


def _date(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise FluxForgeError(f"{text!r} is no date", "write it like 2026-11-24") from None


def _instant(text: str | None) -> int | None:
    """Microseconds of an ISO time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FluxForgeError(f"{text!r} is no time", "write it like 2026-11-24T12:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6)


def _length(text: str | None) -> int | None:
    """Microseconds of a length such as 10m."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not match:
        raise FluxForgeError(f"{text!r} is no length of time", "write it like 30s, 10m, 4h or 1d")
    return round(float(match[1]) * _UNITS[match[2]] * 1e6)


def _show(frame: pl.DataFrame, *, is_chosen: bool, out: Path | None) -> None:
    """Print a table; without chosen columns, as many as the terminal is wide."""
    text = _cells(frame)
    widths = [max(len(name), *(len(row[i]) for row in text), 1) for i, name in enumerate(frame.columns)]
    shown = len(widths)
    if not is_chosen:
        room = shutil.get_terminal_size((120, 24)).columns
        while shown > 1 and sum(widths[:shown]) + 2 * shown > room:
            shown -= 1
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row[:shown], widths, strict=False)).rstrip()
        for row in (frame.columns, *text)
    ]
    if out:
        _to_file(lambda: out.write_text("\n".join(lines) + "\n", encoding="utf-8"), out)
        return
    click.echo("\n".join(lines))
    hidden = f"; {counted(len(widths) - shown, 'more column')}: --columns 'a,b_*'" if shown < len(widths) else ""
    click.echo(f"{counted(frame.height, 'row')}{hidden}", err=True)


def _cells(frame: pl.DataFrame) -> list[tuple[str, ...]]:
    """Every value as text, times in UTC."""
    import polars as pl

    stamps = [
        pl.from_epoch(name, "us").dt.strftime("%Y-%m-%d %H:%M:%S%.3f")
        for name in _TIMES
        if name in frame.columns and frame.schema[name] == pl.Int64
    ]
    return [tuple(_cell(value) for value in row) for row in frame.with_columns(stamps).rows()]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, list):
        return " ".join(
            f"{level['price']:g}×{level['size']:g}" if isinstance(level, dict) else str(level) for level in value[:2]
        )
    return str(value)


def _write(frame: pl.DataFrame, form: str, out: Path | None) -> None:
    """Write as CSV, JSON or Parquet to a file or to standard output."""
    import polars as pl

    if form == "csv" and any(dtype.is_nested() for dtype in frame.dtypes):
        nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
        frame = frame.with_columns(pl.col(nested).map_elements(_json, return_dtype=pl.String))
    if form == "parquet" and out:
        _to_file(lambda: frame.write_parquet(out), out)
    else:
        text = frame.write_csv() if form == "csv" else frame.write_json() + "\n"
        if out:
            _to_file(lambda: out.write_text(text, encoding="utf-8"), out)
        else:
            sys.stdout.write(text)


def _to_file(write: Callable[[], object], out: Path) -> None:
    """Raises: FluxForgeError where the file cannot be written."""
    try:
        write()
    except OSError as error:
        raise FluxForgeError(f"cannot write {out}: {error}", "name a writable file with --out") from None


def _json(value: pl.Series) -> str:
    import json

    return json.dumps(value.to_list())
