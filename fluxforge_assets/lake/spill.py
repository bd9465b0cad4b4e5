"""Rows put on disk for a while, as sorted streams: memory stays bounded however many there are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from fluxforge_assets.lake.verification import Key, first_key, last_key

BATCH_ROWS = 4096
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")


class Spill:
    """Sorted tables in order of arrival, in as few sorted streams as they allow: one for a single collector."""

    def __init__(self, directory: Path, schema: pa.Schema, keys: Sequence[str]) -> None:
        self._directory, self._schema, self._keys = directory, schema, keys
        self._writers: list[pa.RecordBatchStreamWriter] = []
        self._last: list[Key] = []
        self.rows = 0

    def __repr__(self) -> str:
        return f"<Spill of {self.rows} rows in {len(self._last)} streams>"

    def add(self, table: pa.Table) -> None:
        """Put a sorted table into the first stream that ends before it."""
        first = first_key(table, self._keys)
        position = next((i for i, last in enumerate(self._last) if last <= first), len(self._last))
        if position == len(self._last):
            self._directory.mkdir(parents=True, exist_ok=True)
            self._writers.append(pa.ipc.new_stream(str(self._path(position)), self._schema, options=_PACKED))
            self._last.append(first)
        self._writers[position].write_table(table, max_chunksize=BATCH_ROWS)
        self._last[position] = last_key(table, self._keys)
        self.rows += table.num_rows

    def streams(self) -> list[Iterator[pa.RecordBatch]]:
        """The streams, to be read once; nothing can be added any more."""
        while self._writers:
            self._writers.pop().close()
        return [self._read(position) for position in range(len(self._last))]

    def remove(self) -> None:
        """Give the disk its space back."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _path(self, position: int) -> Path:
        return self._directory / f"{position}.arrow"

    def _read(self, position: int) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self._path(position))) as file, pa.ipc.open_stream(file) as stream:
            yield from stream
