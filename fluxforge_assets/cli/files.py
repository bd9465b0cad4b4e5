"""The files `fluxforge compute` and `plot` read and write: checked when opened, whole or not at all when written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from fluxforge_assets.features.events import batches_of, in_order, microseconds
from fluxforge_assets.lake.encoding import write_options
from fluxforge_assets.lake.parts import as_arrow
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.config.load import describe, load_config, read_file
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError, DataError, StorageError
from fluxforge_collector.instruments import Instrument

BATCH_ROWS = 16_384
CUT_NAMES = 64  # some writers cut longer texts in their statistics
OPTIONAL = ("timestamp", "exchange_ts", "nonce", "seq")
NAMES = ("exchange", "symbol")
ORDER = ("capture_ts", "seq")


def read_options(path: Path | None) -> FeatureOptions:
    """Feature options of a file: the catalogue's keys at its top level, or a whole `fluxforge.yaml`.

    A file of the catalogue's keys, and no file at all, mean all families where it does not name some.
    Raises: ConfigError naming the key that is wrong.
    """
    if path is None:
        return FeatureOptions(families="all")
    if not path.is_file():
        raise ConfigError(f"no configuration file {path}", "name a YAML or JSON file")
    values = _read_json(path) if path.suffix == ".json" else read_file(path)
    if values.keys() & Config.model_fields.keys():
        return load_config(path).etl.channels.orderbook.processor_options
    try:
        return FeatureOptions.model_validate({"families": "all"} | values)
    except ValidationError as error:
        remedy = "use the keys of processor_options, or a whole fluxforge.yaml"
        raise ConfigError(describe(error, FeatureOptions, {}, str(path)), remedy) from None


def _read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file, which may be indented by tabs as no YAML is. Raises: ConfigError."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not valid JSON: {first_line(error)}", "correct the file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no keys", "write an object of options")
    return values


def open_parquet(path: Path, what: str) -> pq.ParquetFile:
    """The file, opened. Raises: DataError where there is none or it is no Parquet."""
    if not path.is_file():
        raise DataError(f"{what}: no file {path}", "name an existing Parquet file")
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{what}: {path} is no readable Parquet file: {first_line(error)}", "check the file") from None


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0]


class BronzeFile:
    """A Parquet file of bronze rows of one or more instruments, read instrument by instrument in bounded memory.

    `row_groups`: instrument → the row groups that hold it. Rows of an instrument that are not ascending in
    `(capture_ts, seq)` are read whole and put in order.
    """

    def __init__(self, path: Path, what: str, columns: tuple[str, ...]) -> None:
        self.path = path
        self.what = what
        self._file = open_parquet(path, what)
        names = self._file.schema_arrow.names
        missing = [c for c in columns if c not in names]
        if missing:
            raise DataError(
                f"{what}: {path} has no column {', '.join(missing)}; it has {', '.join(names)}",
                "rename its columns to those of bronze",
            )
        self._columns = [c for c in (*columns, *OPTIONAL) if c in names]
        self.row_groups: dict[Instrument, list[int]] = {}
        self._unordered: set[Instrument] = set()
        self._mixed: set[Instrument] = set()
        self._scan()

    def _scan(self) -> None:
        """Find each instrument's row groups, and whether its rows are in order."""
        last: dict[Instrument, pa.Table] = {}
        for group in range(self._file.num_row_groups):
            alone = self._only_instrument(group)
            rows = self._read([group], [c for c in self._columns if c in ORDER or (not alone and c in NAMES)])
            for instrument in [alone] if alone else _instruments(rows, self.what):
                self.row_groups.setdefault(instrument, []).append(group)
                if not alone:
                    self._mixed.add(instrument)
                own = _only(rows, instrument, is_mixed=not alone).select([c for c in ORDER if c in self._columns])
                joined = pa.concat_tables([last[instrument], own]) if instrument in last else own
                if not _is_ascending(joined, self.what):
                    self._unordered.add(instrument)
                last[instrument] = own.slice(len(own) - 1)

    def _only_instrument(self, group: int) -> Instrument | None:
        """The instrument of all rows of a row group, where its statistics prove it."""
        found = []
        metadata = self._file.metadata.row_group(group)
        columns = {metadata.column(i).path_in_schema: metadata.column(i) for i in range(metadata.num_columns)}
        for name in NAMES:
            statistics = columns[name].statistics
            is_one = statistics is not None and statistics.has_min_max and statistics.min == statistics.max
            if not is_one or statistics.null_count != 0 or len(str(statistics.min)) >= CUT_NAMES:
                return None
            found.append(str(statistics.min))
        return Instrument(*found)

    def batches(self, instrument: Instrument) -> Iterator[pa.RecordBatch]:
        """The instrument's rows, ascending. Raises: DataError where they cannot be put in order."""
        groups = self.row_groups.get(instrument, [])
        is_mixed = instrument in self._mixed
        if instrument in self._unordered:
            rows = _only(self._read(groups, self._columns), instrument, is_mixed=is_mixed)
            yield from batches_of(in_order(rows, self.what))
            return
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, row_groups=groups, columns=self._columns):
                own = _only(batch, instrument, is_mixed=is_mixed)
                if len(own):
                    yield own
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.what}: cannot read {self.path}: {first_line(error)}", "check the file") from None

    def _read(self, groups: list[int], columns: list[str]) -> pa.Table:
        try:
            return self._file.read_row_groups(groups, columns=columns)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{self.what}: cannot read {self.path}: {first_line(error)}", "check the file") from None


def read_table(path: Path, what: str, needed: tuple[str, ...], optional: Iterable[str] = ()) -> pl.DataFrame:
    """Columns of a Parquet file: those needed, and the optional ones it has.

    Raises: DataError where it cannot be read or lacks a column.
    """
    file = open_parquet(path, what)
    names = file.schema_arrow.names
    missing = [c for c in needed if c not in names]
    if missing:
        raise DataError(f"{what}: {path} has no column {', '.join(missing)}", "name a file that `compute` can use")
    try:
        return pl.DataFrame(file.read([*needed, *(c for c in optional if c in names and c not in needed)]))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{what}: cannot read {path}: {first_line(error)}", "check the file") from None


def by_instrument(frame: pl.DataFrame, what: str) -> dict[Instrument, pl.DataFrame]:
    """Rows of each instrument, in key order. Raises: DataError where one is not named."""
    names = frame.select(pl.col("exchange").cast(pl.String), pl.col("symbol").cast(pl.String))
    if names.null_count().sum_horizontal().item():
        raise DataError(f"{what}: exchange or symbol is null", "name the instrument in every row")
    keyed = frame.with_columns(names)
    if names.n_unique() == 1:
        return {Instrument(*names.row(0)): keyed}
    parts = keyed.partition_by("exchange", "symbol", as_dict=True)
    return {Instrument(*map(str, key)): parts[key] for key in sorted(parts)}


def write_atomically(
    path: Path, frames: Iterable[pl.DataFrame], columns: Sequence[Column], inputs: Iterable[Path | None]
) -> int:
    """Write one or more frames of `columns` as a Parquet file, whole or not at all; returns its rows.

    Raises: StorageError where the file cannot be written, or is one of the inputs.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise StorageError(f"cannot write {path}", "name a file in an existing directory")
    if any(p is not None and p.exists() and path.exists() and p.samefile(path) for p in inputs):
        raise StorageError(f"{path} is read and written", "name another --out")
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    rows = 0
    tables = (as_arrow(frame, columns) for frame in frames)
    try:
        first = next(tables)
        with hidden.open("wb") as file:
            with pq.ParquetWriter(file, first.schema, **write_options(columns, ("ts",))) as writer:
                for table in chain([first], tables):
                    writer.write_table(table)
                    rows += len(table)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}", "check the disk and permissions"
        ) from None
    finally:
        hidden.unlink(missing_ok=True)
    return rows


def _is_ascending(rows: pa.Table, what: str) -> bool:
    """Whether rows are ascending in (capture_ts, seq), or in capture_ts where there is no `seq`."""
    step = np.diff(microseconds(rows["capture_ts"], f"{what}: capture_ts"))
    if "seq" not in rows.schema.names:
        return bool((step >= 0).all())
    ordinal = np.diff(microseconds(rows["seq"], f"{what}: seq"))
    return bool(((step > 0) | ((step == 0) & (ordinal > 0))).all())


def _instruments(rows: pa.Table, what: str) -> list[Instrument]:
    """The instruments in some rows."""
    names = rows.select(["exchange", "symbol"]).group_by(["exchange", "symbol"]).aggregate([])
    pairs = [(r["exchange"], r["symbol"]) for r in names.to_pylist()]
    if any(name is None for pair in pairs for name in pair):
        raise DataError(f"{what}: exchange or symbol is null", "name the instrument in every row")
    return sorted(Instrument(str(e), str(s)) for e, s in pairs)


def _only(rows: pa.Table | pa.RecordBatch, instrument: Instrument, *, is_mixed: bool) -> pa.Table | pa.RecordBatch:
    """The rows of one instrument."""
    if not is_mixed:
        return rows
    return rows.filter(
        pc.and_(
            pc.equal(rows["exchange"], pa.scalar(instrument.exchange)),
            pc.equal(rows["symbol"], pa.scalar(instrument.symbol)),
        )
    )
