"""Finding the files behind an asset's name, pruned by partition and time, and opening them as one table."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

import polars as pl

from fluxforge_assets.lake.bronze_files import list_files
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.replacing import NOTE, files_of
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.lake.sealed_scan import channel_of, scan_sealed
from fluxforge_collector.errors import DataError
from fluxforge_collector.instruments import from_path_safe, path_safe
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.names import RawFormat, date_of, format_of
from fluxforge_collector.storage.bucket import LakePath

BRONZE = {f"bronze/{c}": c for c in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER, Channel.GAPS)}
ATTEMPTS = 5
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Wanted:
    """Which rows: empty or None is all of them. `symbol` may be ccxt's or path-safe; times are µs since the epoch."""

    exchange: str | None = None
    symbol: str | None = None
    date: str | None = None
    from_us: int | None = None
    to_us: int | None = None

    @property
    def ccxt_symbol(self) -> str | None:
        """The symbol in ccxt's spelling."""
        if self.symbol is None or "/" in self.symbol:
            return self.symbol
        return from_path_safe(self.symbol)

    @property
    def safe_symbol(self) -> str | None:
        """The symbol as it stands in folders."""
        return None if self.ccxt_symbol is None else path_safe(self.ccxt_symbol)

    def has_date(self, day: str) -> bool:
        """Whether a date partition can hold wanted rows; a row may end with the first instant of the next day."""
        if self.date is not None and day != self.date:
            return False
        first = date_of(max(0, self.from_us - 1)) if self.from_us is not None else ""
        return first <= day and (self.to_us is None or day <= date_of(self.to_us))


def known_assets() -> list[str]:
    """Names that `open_asset` takes."""
    return sorted([*BRONZE, *(dataset.asset for dataset in DATASETS)])


def open_asset(lake: Lake, asset: str, wanted: Wanted) -> pl.LazyFrame:
    """An asset's wanted rows, in order of time. Raises: DataError for an unknown name, or where there is nothing."""
    if asset in BRONZE:
        frame = _open_bronze(bronze_files(lake, BRONZE[asset], wanted), BRONZE[asset], wanted)
        symbol = wanted.ccxt_symbol
    else:
        dataset = next((d for d in DATASETS if d.asset == asset), None)
        if dataset is None:
            near = difflib.get_close_matches(asset, known_assets(), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise DataError(f"there is no asset {asset!r}", f"{hint}known: {', '.join(known_assets())}")
        frame = _open(part_files(lake, dataset, wanted), asset)
        symbol = wanted.safe_symbol
    return _filtered(frame, wanted, symbol)


def open_path(path: LakePath, wanted: Wanted) -> pl.LazyFrame:
    """The wanted rows of a Parquet file or of all Parquet files below a directory. Raises: DataError."""
    if not path.exists():
        raise DataError(f"there is no {path}", f"name a path, or an asset: {', '.join(known_assets())}")
    frame = _open([path] if path.is_file() else _files_below(path), str(path))
    names = frame.collect_schema().names()
    is_safe = "date" in names
    return _filtered(frame, wanted, wanted.safe_symbol if is_safe else wanted.ccxt_symbol)


def _files_below(folder: LakePath) -> list[LakePath]:
    """The files of rows below a folder, but for hidden ones and those that a replacement hides."""
    found: list[LakePath] = list(folder.rglob("*"))
    changing = {file.parent for file in found if file.name == NOTE}
    counted = [file for file in found if file.parent not in changing]
    counted += [file for parent in sorted(changing, key=str) for file in files_of(parent)]
    return sorted(
        (
            file
            for file in counted
            if (file.suffix == ".parquet" or format_of(file.name) is RawFormat.NDJSON)
            and not any(part.startswith(".") for part in PurePosixPath(str(file)).relative_to(str(folder)).parts)
        ),
        key=str,
    )


def bronze_files(lake: Lake, channel: Channel, wanted: Wanted) -> list[LakePath]:
    """The landed files of a channel, newest first."""
    return sorted(
        (
            file
            for source in lake.sources()
            for folder in (lake.segments(source).archive_dir / channel.value).glob("date=*")
            if wanted.has_date(folder.name.removeprefix("date="))
            for file in list_files(folder).all()
        ),
        key=lambda file: (file.parent.name, file.name),
        reverse=True,
    )


def part_files(lake: Lake, dataset: Dataset, wanted: Wanted) -> list[LakePath]:
    """The parts of a dataset that can hold wanted rows, newest first."""
    found: list[tuple[int, LakePath]] = []
    for root in (lake.root / "processed").glob(f"*/{dataset.folder}"):
        pattern = f"exchange={wanted.exchange or '*'}/symbol={wanted.safe_symbol or '*'}/date=*"
        for folder in root.glob(pattern):
            if wanted.has_date(folder.name.removeprefix("date=")):
                found += [
                    (part.to_us, folder / part.name)
                    for part in parts_of(folder)
                    if (wanted.from_us is None or part.to_us >= wanted.from_us)
                    and (wanted.to_us is None or part.from_us < wanted.to_us)
                ]
    return [path for _, path in sorted(found, reverse=True)]


def time_column(names: list[str]) -> str | None:
    """The column rows are ordered by."""
    return next((name for name in ("ts", "capture_ts", "gap_start") if name in names), None)


def patiently(read: Callable[[], Answer]) -> Answer:
    """Read, and read again where a partition was replaced between listing and opening. Raises: DataError."""
    for _ in range(ATTEMPTS):
        try:
            return read()
        except FileNotFoundError as error:
            last = error
    raise DataError(f"files kept vanishing: {last}", "try again when no backfill is running") from last


def _open_bronze(files: list[LakePath], channel: Channel, wanted: Wanted) -> pl.LazyFrame:
    if not files or (wanted.exchange is None and wanted.symbol is None):
        return _open(files, f"bronze/{channel}").with_columns(pl.col(pl.Categorical).cast(pl.String))
    return scan_sealed(files, channel, exchange=wanted.exchange, symbol=wanted.ccxt_symbol)


def _open(files: list[LakePath], what: str) -> pl.LazyFrame:
    if not files:
        raise DataError(f"there are no rows of {what}", "check the filters, and whether anything was collected")
    legacy = [file for file in files if format_of(file.name) is RawFormat.NDJSON]
    if not legacy:
        return _scan_parquet(files)
    channels = {channel_of(file) for file in legacy}
    if len(channels) > 1:
        raise DataError(f"{what} holds several channels: {', '.join(sorted(channels))}", "name the folder of one")
    frames = [scan_sealed(legacy, channels.pop())]
    if len(legacy) < len(files):
        rest = _scan_parquet([file for file in files if file not in legacy])
        frames.append(rest.with_columns(pl.col(pl.Categorical).cast(pl.String)))
    return pl.concat(frames)


def _scan_parquet(files: list[LakePath]) -> pl.LazyFrame:
    # the newest file leads: after a change of configuration, columns that are gone are left out, new ones null before
    return scan(files, missing_columns="insert", extra_columns="ignore")


def _filtered(frame: pl.LazyFrame, wanted: Wanted, symbol: str | None) -> pl.LazyFrame:
    schema = frame.collect_schema()
    time = time_column(schema.names())
    if wanted.exchange is not None and "exchange" in schema:
        frame = frame.filter(pl.col("exchange") == wanted.exchange)
    if symbol is not None and "symbol" in schema:
        frame = frame.filter(pl.col("symbol") == symbol)
    if time is None:
        return frame
    stamp = pl.col(time).cast(pl.Int64)
    if wanted.from_us is not None:
        frame = frame.filter(stamp >= wanted.from_us)
    if wanted.to_us is not None:
        frame = frame.filter(stamp < wanted.to_us)
    return frame.sort([time, *(n for n in ("seq", "exchange", "symbol", "bar_us") if n in schema)])
