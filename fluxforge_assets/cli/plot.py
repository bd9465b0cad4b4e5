"""`fluxforge plot`: a picture of a dataset or file, written as PNG, SVG or a page that needs no other file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from fluxforge_assets.cli.paths import OnDisk, path_of
from fluxforge_assets.cli.times import instant_us, length_us
from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.errors import DataError, FluxForgeError, StorageError

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from fluxforge_assets.lake.reading import Wanted
    from fluxforge_assets.plots import Format

MOST_BOOKS = 20_000
CANDLES = 400
BAR_COLUMNS = ("bar_us", "mid_open", "mid_high", "mid_low", "mid_close", "vol", "buy_vol", "sell_vol")


@click.command()
@click.argument("source")
@click.option("--out", type=OnDisk(path_type=Path), required=True, help="file to write: .png, .svg or .html")
@click.option("--columns", help="feature columns, separated by commas; a panel each")
@click.option("--depth", is_flag=True, help="resting size by time and price, from silver or bronze order books")
@click.option("--levels", default=10, show_default=True, help="levels of each side, with --depth")
@click.option("--bar", type=float, help="bar length in seconds; from silver, candles are made of it")
@click.option("--exchange", help="where the source holds several")
@click.option("--symbol", help="where the source holds several, such as BTC-USDT")
@click.option("--last", help="the newest part only, such as 10m or 4h")
@click.option("--from", "start", help="first time: ISO 8601 (UTC without a zone), or µs since the epoch")
@click.option("--to", "end", help="time after the last")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake and its store")
def command(
    *,
    source: str,
    out: Path,
    columns: str | None,
    depth: bool,
    levels: int,
    bar: float | None,
    exchange: str | None,
    symbol: str | None,
    last: str | None,
    start: str | None,
    end: str | None,
    config: Path | None,
) -> None:
    """Plot SOURCE: a Parquet file, a directory of them, either here or below s3://, or a dataset such as gold/bars.

    Without --columns or --depth the mid is drawn, with bars as candles and their volume where there are any.
    """
    form = out.suffix.removeprefix(".")
    if form not in {"png", "svg", "html"}:
        raise FluxForgeError(f"cannot write {out.name} as a picture", "end --out in .png, .svg or .html")
    if depth and columns:
        raise FluxForgeError("--depth and --columns are two pictures", "name one of them")
    if levels < 1:
        raise FluxForgeError("--levels must be at least 1", "leave it out for 10")
    named = [c.strip() for c in columns.split(",") if c.strip()] if columns else []
    from fluxforge_assets.lake.reading import Wanted, patiently

    wanted = Wanted(exchange, symbol, None, instant_us(start), instant_us(end))
    last_us = length_us(last)
    rows = patiently(lambda: _rows(_opened(source, wanted, config), named, depth=depth, levels=levels, last_us=last_us))
    figure, what = _draw(rows, named, depth=depth, levels=levels, bar=bar)
    from fluxforge_assets.plots import render

    _write(out, render(figure, cast("Format", form), title=f"FluxForge · {what}"))
    click.echo(f"{out}: {what}, {counted(rows.height, 'row')}")


def _opened(source: str, wanted: Wanted, config: Path | None) -> pl.LazyFrame:
    """The rows of an asset or of Parquet files. Raises: DataError where there are none."""
    import polars as pl

    from fluxforge_assets.lake.paths import open_lake
    from fluxforge_assets.lake.reading import known_assets, open_asset, open_path
    from fluxforge_collector.config.load import load_config

    if source in known_assets():
        return open_asset(open_lake(load_config(config)), source, wanted)
    try:
        frame = open_path(path_of(source, config), replace(wanted, symbol=None))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot read {source}: {str(error).strip().splitlines()[0]}", "check the files") from None
    if wanted.symbol is None:
        return frame
    # files of one's own may spell a symbol either way
    return frame.filter(pl.col("symbol").cast(pl.String).is_in([wanted.ccxt_symbol, wanted.safe_symbol]))


def _rows(table: pl.LazyFrame, named: list[str], *, depth: bool, levels: int, last_us: int | None) -> pl.DataFrame:
    """The columns a picture needs, of one instrument, by time. Raises: DataError where they cannot be read."""
    import polars as pl

    known = table.collect_schema().names()
    time = "ts" if "ts" in known else "capture_ts"
    if depth:
        picked = {f"{s}_{q}_l{i}" for s in ("bid", "ask") for q in ("price", "size") for i in range(levels)}
        wanted = [c for c in known if c in picked or c in {"bids", "asks"}]
    else:
        wanted = named or [c for c in ("mid", "mid_first", "mid_min", "mid_max", *BAR_COLUMNS) if c in known]
    missing = [c for c in (time, "exchange", "symbol", *wanted) if c not in known]
    if missing:
        raise DataError(f"the data have no column {', '.join(missing)}", "see `fluxforge features` for the names")
    keys = [pl.col("exchange").cast(pl.String), pl.col("symbol").cast(pl.String), pl.col(time).cast(pl.Int64)]
    chosen = table.select(*keys, *(c for c in wanted if c not in {"exchange", "symbol", time}))
    try:
        if last_us is not None:
            newest = chosen.select(pl.col(time).max()).collect().item()
            chosen = chosen.filter(pl.col(time) > (newest or 0) - last_us)
        rows = chosen.collect()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"cannot read the data: {str(error).strip().splitlines()[0]}", "check the files") from None
    instruments = rows.select("exchange", "symbol").unique().sort("exchange", "symbol").rows()
    if len(instruments) > 1:
        shown = ", ".join(" ".join(i) for i in instruments[:5])
        raise DataError(f"the source holds {len(instruments)} instruments: {shown}", "name --exchange and --symbol")
    if not instruments:
        raise DataError("there is nothing to plot in this range", "widen the range, or name another instrument")
    return rows


def _draw(rows: pl.DataFrame, named: list[str], *, depth: bool, levels: int, bar: float | None) -> tuple[Figure, str]:
    """The picture and what it shows."""
    from fluxforge_assets.plots import depth_figure, features_figure, mid_figure

    instrument = " ".join(rows.select("exchange", "symbol").row(0))
    if depth:
        title = f"{instrument} · depth"
        return depth_figure(rows.gather_every(-(-rows.height // MOST_BOOKS)), levels=levels, title=title), title
    if named:
        title = f"{instrument} · {', '.join(named)}"
        return features_figure(rows, named, units=_units(), title=title), title
    if "bar_us" in rows.columns:
        bars = _of_duration(rows, bar)
        title = f"{instrument} · mid, bars of {bars['bar_us'][0] / 1e6:g} s"
        return mid_figure(None, bars, title=title), title
    if "mid" not in rows.columns:
        raise DataError("the data have no mid to plot", "name --columns, or use --depth for order books")
    if bar is None:
        return mid_figure(rows, title=f"{instrument} · mid"), f"{instrument} · mid"
    title = f"{instrument} · mid, candles of {bar:g} s"
    return mid_figure(rows, _candles(rows, round(bar * 1e6)), title=title), title


def _of_duration(bars: pl.DataFrame, bar: float | None) -> pl.DataFrame:
    """The bars of one length: the one asked for, else the shortest that gives candles one can see."""
    import polars as pl

    counts = dict(bars.group_by("bar_us").len().sort("bar_us").iter_rows())
    chosen = round(bar * 1e6) if bar is not None else next((d for d, n in counts.items() if n <= CANDLES), max(counts))
    if chosen not in counts:
        known = ", ".join(f"{d / 1e6:g}" for d in counts)
        raise DataError(f"there are no bars of {chosen / 1e6:g} s", f"name one of {known}")
    return bars.filter(pl.col("bar_us") == chosen)


def _candles(silver: pl.DataFrame, bar_us: int) -> pl.DataFrame:
    """Candles of the mid and volumes, from silver rows (catalogue 9)."""
    import polars as pl

    if bar_us <= 0:
        raise FluxForgeError("--bar must be positive", "name seconds, such as 60")
    missing = [c for c in ("mid_first", "mid_min", "mid_max") if c not in silver.columns]
    if missing:
        raise DataError(f"the data have no column {', '.join(missing)}", "plot gold/bars, or leave --bar out")
    volumes = [pl.col(c).sum() for c in ("vol", "buy_vol", "sell_vol") if c in silver.columns]
    return (
        silver.group_by((-(-pl.col("ts") // bar_us) * bar_us).alias("ts"))
        .agg(
            pl.col("mid_first").drop_nulls().first().alias("mid_open"),
            pl.col("mid_max").max().alias("mid_high"),
            pl.col("mid_min").min().alias("mid_low"),
            pl.col("mid").drop_nulls().last().alias("mid_close"),
            *volumes,
        )
        .with_columns(pl.lit(bar_us, pl.Int64).alias("bar_us"))
        .sort("ts")
    )


def _units() -> dict[str, str]:
    """The unit of every column of the default options."""
    from fluxforge_assets.cli.features import catalogue
    from fluxforge_collector.config.features import FeatureOptions

    return {e.column.name: e.column.unit for e in catalogue(FeatureOptions(families="all"))}


def _write(out: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises: StorageError."""
    hidden = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        hidden.write_bytes(data)
        hidden.replace(out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}", "name a file in an existing directory") from None
    finally:
        hidden.unlink(missing_ok=True)
