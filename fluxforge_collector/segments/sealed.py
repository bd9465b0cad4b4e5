"""A sealed file's rows, written and read in either format: its name's ending decides which, here and nowhere else.

A Parquet file holds row groups that never mix instruments, so a reader may pass over those it does not want. An NDJSON
file holds the same rows in the same order, compressed, and is read whole.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import RawFormat, format_of
from fluxforge_collector.segments.ndjson import from_lines, to_lines
from fluxforge_collector.storage.bucket import LakePath, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fluxforge_collector.config.model import Ingestion

ROW_GROUP_ROWS = 16_384
_NDJSON_ROWS = 4096
_IN_MEMORY = {RawFormat.PARQUET: 3, RawFormat.NDJSON: 20}
"""How many times larger than what it is made from a table may be: Parquet's plain pages, NDJSON's compressed bytes."""


def parquet_options(schema: pa.Schema) -> dict[str, object]:
    """How bronze columns are stored, whatever the codec.

    Books repeat long runs of identical 8-byte values, which zstd finds only in PLAIN pages of version 1; integers
    climb in small steps; a dictionary pays for names alone.
    """
    return {
        "use_dictionary": [field.name for field in schema if pa.types.is_dictionary(field.type)],
        "column_encoding": {
            field.name: "DELTA_BINARY_PACKED"
            for field in schema
            if pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type)
        },
        "data_page_version": "1.0",
        "write_statistics": True,
    }


def write_rows(
    path: Path, form: RawFormat, tables: Iterable[pa.Table], schema: pa.Schema, ingestion: Ingestion
) -> None:
    """Write tables of plain strings as a file of this schema; each table's rows are of one instrument."""
    codec, level = ingestion.parquet_compression, ingestion.parquet_compression_level
    if form is RawFormat.PARQUET:
        options = parquet_options(schema)
        with pq.ParquetWriter(path, schema, compression=codec, compression_level=level, **options) as writer:
            for table in tables:
                writer.write_table(table.cast(schema), row_group_size=ROW_GROUP_ROWS)
        return
    packing = pa.Codec(codec, compression_level=level)
    with path.open("wb") as file:
        for table in tables:
            for batch in table.to_batches(_NDJSON_ROWS):
                file.write(packing.compress(to_lines(batch), asbytes=True))


def read_rows(
    path: LakePath,
    schema: pa.Schema,
    *,
    choose: Callable[[pq.FileMetaData], Sequence[int]] | None = None,
    batch_rows: int = ROW_GROUP_ROWS,
) -> Iterator[pa.RecordBatch]:
    """The columns of `schema`, which is without dictionaries, of every row in the order of the file.

    `choose` names the row groups wanted, where the format has any. Raises: OSError, ArrowException or DataError where
    the file cannot be read.
    """
    if format_of(path.name) is RawFormat.NDJSON:
        with _lines(path) as lines:
            while part := list(islice(lines, _NDJSON_ROWS)):
                try:
                    yield from_lines(part, schema)
                except DataError as error:
                    raise DataError(f"{path}: {error.message}", error.remedy) from error
        return
    with pq.ParquetFile(readable(path)) as file:
        groups = range(file.num_row_groups) if choose is None else choose(file.metadata)
        for batch in file.iter_batches(batch_rows, row_groups=list(groups), columns=schema.names) if groups else ():
            columns = [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def read_table(path: LakePath, schema: pa.Schema) -> pa.Table:
    """All rows at once. Raises: as `read_rows`."""
    return pa.Table.from_batches(read_rows(path, schema), schema=schema)


def schema_of(path: LakePath, schema: pa.Schema) -> pa.Schema:
    """The schema a file declares; lines declare none, so theirs is the one that they are read by."""
    return schema if format_of(path.name) is RawFormat.NDJSON else pq.read_schema(readable(path))


def count_rows(path: LakePath) -> int:
    """How many rows a file holds. Raises: OSError or ArrowException where it cannot be read."""
    if format_of(path.name) is RawFormat.NDJSON:
        with _lines(path) as lines:
            return sum(1 for _ in lines)
    rows: int = pq.read_metadata(readable(path)).num_rows
    return rows


def most_bytes(path: LakePath, names: Sequence[str]) -> int:
    """What these columns may take in memory."""
    if format_of(path.name) is RawFormat.NDJSON:
        size: int = path.stat().st_size
        return size * _IN_MEMORY[RawFormat.NDJSON]
    metadata, wanted = pq.read_metadata(readable(path)), set(names)
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    columns = (group.column(i) for group in groups for i in range(group.num_columns))
    plain = sum(c.total_uncompressed_size for c in columns if c.path_in_schema.partition(".")[0] in wanted)
    return int(plain) * _IN_MEMORY[RawFormat.PARQUET]


@contextmanager
def _lines(path: LakePath) -> Iterator[io.BufferedReader]:
    with pa.input_stream(readable(path), compression=None) as file, pa.CompressedInputStream(file, "zstd") as plain:
        yield io.BufferedReader(plain, 1 << 20)
