"""`fluxforge compute`: silver, bars and labels from anybody's Parquet files, without a lake and without Dagster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from fluxforge_assets.cli.paths import OnDisk
from fluxforge_collector.cli.sizes import counted

if TYPE_CHECKING:
    import polars as pl

    from fluxforge_assets.cli.files import BronzeFile
    from fluxforge_assets.tables import Column
    from fluxforge_collector.config.features import FeatureOptions

FILE = OnDisk(path_type=Path)
CONFIG = click.option(
    "--config", "config", type=FILE, help="feature options, YAML or JSON: the catalogue's keys, or a fluxforge.yaml"
)
WATERMARK = click.option(
    "--watermark", type=int, help="everything captured before it (µs since the epoch) is in the files"
)
OUT = click.option("--out", type=FILE, required=True, help="Parquet file to write; replaced whole or not at all")
SILVER = click.option("--silver", type=FILE, required=True, help="Parquet file of silver rows")


@click.group()
def command() -> None:
    """Compute silver, bars or labels from your own Parquet files.

    Without --config, or with one of the catalogue's keys that names no families, all families are computed.
    """


@command.command()
@click.option("--book", type=FILE, required=True, help="Parquet file of order books, columns as in bronze")
@click.option("--trades", type=FILE, help="Parquet file of trades; without it every trade column is null")
@click.option("--gaps", type=FILE, help="Parquet file of gap rows")
@CONFIG
@WATERMARK
@OUT
def silver(
    *, book: Path, trades: Path | None, gaps: Path | None, config: Path | None, watermark: int | None, out: Path
) -> None:
    """Silver rows from order books, trades and gaps; several instruments are computed one after another."""
    from fluxforge_assets.cli.files import BronzeFile, read_options, write_atomically
    from fluxforge_assets.features.catalogue import silver_columns
    from fluxforge_assets.features.events import BOOK_COLUMNS, TRADE_COLUMNS
    from fluxforge_assets.features.frames import empty_frame

    options = read_options(config)
    columns = silver_columns(options)
    books = BronzeFile(book, "book", BOOK_COLUMNS)
    traded = None if trades is None else BronzeFile(trades, "trades", TRADE_COLUMNS)
    frames = _silver_frames(books, traded, gaps, options, watermark)
    rows = write_atomically(out, _or_empty(frames, empty_frame(columns)), columns, (book, trades, gaps, config))
    click.echo(f"{out}: {counted(rows, 'silver row')}, {len(columns)} columns")


def _silver_frames(
    books: BronzeFile, trades: BronzeFile | None, gaps: Path | None, options: FeatureOptions, watermark: int | None
) -> Iterator[pl.DataFrame]:
    """Silver of every instrument that has books or trades, in key order."""
    from fluxforge_assets.cli.files import by_instrument, read_table
    from fluxforge_assets.features.silver import silver_frames

    breaks = {}
    if gaps is not None:
        wanted = ("exchange", "symbol", "channel", "gap_start", "gap_end")
        breaks = by_instrument(read_table(gaps, "gaps", wanted), "gaps")
    for instrument in sorted(books.row_groups.keys() | (trades.row_groups.keys() if trades else ())):
        yield from silver_frames(
            books.batches(instrument),
            trades.batches(instrument) if trades else None,
            breaks.get(instrument),
            options=options,
            watermark_us=watermark,
        )


@command.command()
@click.option("--silver", type=FILE, help="Parquet file of silver rows")
@click.option("--trades", type=FILE, help="Parquet file of trades, instead of silver: bars of prices and volumes only")
@CONFIG
@WATERMARK
@OUT
def bars(*, silver: Path | None, trades: Path | None, config: Path | None, watermark: int | None, out: Path) -> None:
    """Bars of every duration, in one table with the column `bar_us`."""
    from fluxforge_assets.bars import bar_columns, compute_bars
    from fluxforge_assets.features.window import rules

    if (silver is None) == (trades is None):
        raise click.UsageError("name either --silver or --trades")
    if silver is not None:
        made = Made("bars", compute_bars, bar_columns, rules)
        _from_silver(made, silver=silver, config=config, watermark=watermark, out=out)
    elif trades is not None:
        _bars_of_trades(trades, config, watermark, out)


def _bars_of_trades(trades: Path, config: Path | None, watermark: int | None, out: Path) -> None:
    """Bars of every instrument in a file of trades; only those that end at or before the watermark."""
    import polars as pl

    from fluxforge_assets.bars import trade_bar_columns, trade_bars
    from fluxforge_assets.cli.files import by_instrument, read_options, read_table, write_atomically
    from fluxforge_assets.features.events import TRADE_COLUMNS
    from fluxforge_assets.features.frames import empty_frame

    options = read_options(config)
    columns = trade_bar_columns()
    table = read_table(trades, "trades", TRADE_COLUMNS, ("seq",))
    last_us = pl.lit(watermark, pl.Int64)
    made = (trade_bars(part, options.bar_durations) for part in by_instrument(table, "trades").values())
    final = (bars if watermark is None else bars.filter(pl.col("ts") <= last_us) for bars in made)
    rows = write_atomically(out, _or_empty(final, empty_frame(columns)), columns, (trades, config))
    click.echo(f"{out}: {counted(rows, 'bar')}, {len(columns)} columns")


@command.command()
@SILVER
@CONFIG
@WATERMARK
@OUT
def labels(*, silver: Path, config: Path | None, watermark: int | None, out: Path) -> None:
    """Labels of every silver row. Each column looks ahead: never join them into a feature matrix as inputs."""
    from fluxforge_assets.labels import compute_labels, label_columns
    from fluxforge_assets.labels.forward import NEEDED

    made = Made("labels", compute_labels, label_columns, lambda _: NEEDED)
    _from_silver(made, silver=silver, config=config, watermark=watermark, out=out)


class Made(NamedTuple):
    """A table made from silver: its name, how, its columns, and the columns of silver it reads."""

    what: str
    compute: Callable[..., pl.DataFrame]
    columns: Callable[[FeatureOptions], Sequence[Column]]
    reads: Callable[[FeatureOptions], Iterable[str]]


def _from_silver(made: Made, *, silver: Path, config: Path | None, watermark: int | None, out: Path) -> None:
    """Compute a table of every instrument in a silver file, from the columns it reads."""
    from fluxforge_assets.cli.files import by_instrument, read_options, read_table, write_atomically

    options = read_options(config)
    columns = made.columns(options)
    table = read_table(silver, "silver", ("exchange", "symbol", "ts"), made.reads(options))
    parts = by_instrument(table, "silver")
    frames = (made.compute(part, options=options, watermark_us=watermark) for part in parts.values())
    empty = made.compute(table.clear(), options=options, watermark_us=watermark)
    rows = write_atomically(out, _or_empty(frames, empty), columns, (silver, config))
    click.echo(f"{out}: {counted(rows, 'row')} of {made.what}, {len(columns)} columns")


def _or_empty(frames: Iterable[pl.DataFrame], empty: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frames, or an empty one where there is none."""
    first = True
    for frame in frames:
        first = False
        yield frame
    if first:
        yield empty
