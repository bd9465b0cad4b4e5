"""Legacy NDJSON segments as one lazy table: read file by file, each filtered before the next, none kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from fluxforge_collector.errors import DataError
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.sealed import read_rows
from fluxforge_collector.storage.bucket import LakePath


def scan_ndjson(files: Sequence[LakePath], channel: Channel) -> pl.LazyFrame:
    """The rows of a channel's files. Raises: DataError, when collected, where a file cannot be read."""
    schema = plain_schema(channel)

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for file in files:
            for batch in read_rows(file, schema):
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

    return register_io_source(frames, schema=pl.DataFrame(schema.empty_table()).schema)


def channel_of(file: LakePath) -> Channel:
    """The channel of a segment's file, by the folders it stands in. Raises: DataError where they name none."""
    named = [part for part in reversed(file.parts[:-1]) if part in set(Channel)]
    if not named:
        raise DataError(f"{file} is in no channel's folder", "leave segments where they stand in the lake")
    return Channel(named[0])
