"""Sealed files as one lazy table: read file by file, each filtered before the next, none kept.

Of a Parquet file only the row groups that can hold what is wanted, and of those the columns asked for: where files are
in a bucket, nothing else crosses the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from fluxforge_collector.errors import DataError
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.sealed import read_rows
from fluxforge_collector.storage.bucket import LakePath


def scan_sealed(
    files: Sequence[LakePath], channel: Channel, *, exchange: str | None = None, symbol: str | None = None
) -> pl.LazyFrame:
    """The rows of a channel's files, at least those of an exchange or symbol where one is named.

    Raises: DataError, when collected, where a file cannot be read.
    """
    whole = plain_schema(channel)
    named = {name: value for name, value in (("exchange", exchange), ("symbol", symbol)) if value is not None}

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        needed = {*(columns or whole.names), *(predicate.meta.root_names() if predicate is not None else ())}
        schema = pa.schema([field for field in whole if field.name in needed], metadata=whole.metadata)
        for file in files:
            for batch in read_rows(file, schema, choose=partial(_groups, named=named)):
                frame = pl.DataFrame(pa.Table.from_batches([batch]))
                if predicate is not None:
                    frame = frame.filter(predicate)
                if columns is not None:
                    frame = frame.select(columns)
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                yield frame
                if left == 0:
                    return

    return register_io_source(frames, schema=pl.DataFrame(whole.empty_table()).schema)


def _groups(metadata: pq.FileMetaData, *, named: Mapping[str, str]) -> list[int]:
    """Row groups that may hold rows of these names; one without statistics may."""
    index = {metadata.schema.column(i).path: i for i in range(len(metadata.schema))}

    def may(group: int, column: str, value: str) -> bool:
        known = metadata.row_group(group).column(index[column]).statistics if column in index else None
        return known is None or not known.has_min_max or known.min <= value <= known.max

    groups = range(metadata.num_row_groups)
    return [group for group in groups if all(may(group, column, value) for column, value in named.items())]


def channel_of(file: LakePath) -> Channel:
    """The channel of a segment's file, by the folders it stands in. Raises: DataError where they name none."""
    named = [part for part in reversed(file.parts[:-1]) if part in set(Channel)]
    if not named:
        raise DataError(f"{file} is in no channel's folder", "leave segments where they stand in the lake")
    return Channel(named[0])
