"""Sealing: a channel's journal becomes one sorted file, in bounded memory. When to seal is not decided here.

The journal is read once, in chunks, each sorted by instrument. Then the chunks are merged: every instrument's rows are
taken from each of them in turn, so a row group never mixes instruments. Memory: 8 MiB of chunks, the rest of them
compressed (less than the journal, which `segment_max_mb` bounds), and a few copies of a chunk or of a row group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_collector.durable import make_directory, publish, storage_errors, temporary
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import EVERY_SYMBOL, Channel
from fluxforge_collector.schemas import BRONZE, order_of
from fluxforge_collector.segments.manifest import ChannelEntry, InstrumentEntry, checksum_file
from fluxforge_collector.segments.names import RawFormat, format_of
from fluxforge_collector.segments.sealed import ROW_GROUP_ROWS, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fluxforge_collector.config.model import Ingestion

_CHUNK_ROWS = 16_384
_CHUNK_BYTES = 4 << 20
_UNPACKED_BYTES = 8 << 20  # held as they are: a quiet minute needs no packing
_PACKED_BYTES = 256 << 10
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches gathered until a chunk is worth sorting."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield pa.Table.from_batches(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held)


def _sorted(table: pa.Table, keys: list[str]) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys]))


class _Chunk:
    """A chunk sorted by instrument and time, perhaps packed; its rows are taken from the first to the last, once."""

    def __init__(self, table: pa.Table, *, is_packed: bool) -> None:
        self._batches = iter(_packed(table) if is_packed else table.to_batches())
        self._held = table.schema.empty_table()

    def take(self, rows: int) -> pa.Table:
        """The next so many rows."""
        held = [self._held] if len(self._held) else []
        while (missing := rows - sum(map(len, held))) > 0:
            held.append(pa.Table.from_batches([next(self._batches)]))
        last = held.pop()
        self._held = last.slice(len(last) + missing)
        return pa.concat_tables([*held, last.slice(0, len(last) + missing)])


def _packed(table: pa.Table) -> pa.RecordBatchReader:
    """The table's rows, held compressed until they are asked for, some at a time."""
    sink = pa.BufferOutputStream()
    some_rows = max(1, len(table) * _PACKED_BYTES // table.nbytes)
    with pa.ipc.new_stream(sink, table.schema, options=_PACKED) as stream:
        stream.write_table(table, max_chunksize=some_rows)
    return pa.ipc.open_stream(sink.getvalue())


class _InstrumentRows:
    """One instrument's rows: how many of which chunks, in order of arrival."""

    def __init__(self) -> None:
        self._parts: list[tuple[_Chunk, int]] = []
        self._last: tuple[int, ...] = ()
        self._is_in_order = True
        self.rows = 0
        self.first_us = 0
        self.last_us = 0

    def append(self, chunk: _Chunk, rows: int, first: tuple[int, ...], last: tuple[int, ...]) -> None:
        self._is_in_order &= first >= self._last
        self._last = max(self._last, last)
        self.first_us = min(self.first_us, first[0]) if self._parts else first[0]
        self.last_us = self._last[0]
        self.rows += rows
        self._parts.append((chunk, rows))

    def tables(self, keys: list[str]) -> Iterator[pa.Table]:
        """The rows in the order of their keys, in row groups that are full but for the last."""
        taken: Iterator[pa.Table] = (chunk.take(rows) for chunk, rows in self._parts)
        if not self._is_in_order:  # rare: records that arrived late
            taken = iter([_sorted(pa.concat_tables(taken), keys)])
        held: list[pa.Table] = []
        for table in taken:
            held.append(table)
            if sum(map(len, held)) >= ROW_GROUP_ROWS:
                whole = pa.concat_tables(held)
                full = len(whole) - len(whole) % ROW_GROUP_ROWS
                yield whole.slice(0, full)
                held = [whole.slice(full)]
        if sum(map(len, held)):
            yield pa.concat_tables(held)


def _collect(channel: Channel, batches: Iterable[pa.RecordBatch]) -> dict[Instrument, _InstrumentRows]:
    """The rows of a channel by instrument, instruments in the order of the file."""
    names = ["exchange", "symbol"] if channel is not Channel.FRAMES else ["exchange"]
    keys = order_of(channel)
    found: dict[Instrument, _InstrumentRows] = {}
    held_bytes = 0
    for unsorted in _chunks(batches):
        table = _sorted(unsorted.combine_chunks(), [*names, *keys])
        held_bytes += table.nbytes
        chunk = _Chunk(table, is_packed=held_bytes > _UNPACKED_BYTES)
        starts = _starts(table, names)
        lasts = [start - 1 for start in [*starts[1:], len(table)]]
        instruments = _rows(table, names, starts)
        its_keys = zip(_rows(table, keys, starts), _rows(table, keys, lasts), strict=True)
        for name, start, end, (first, last) in zip(instruments, starts, lasts, its_keys, strict=True):
            found.setdefault(_instrument(*name), _InstrumentRows()).append(chunk, end - start + 1, first, last)
    return {instrument: found[instrument] for instrument in sorted(found)}


def _instrument(exchange: str, symbol: str = EVERY_SYMBOL) -> Instrument:
    return Instrument(exchange, symbol)


def _starts(table: pa.Table, names: list[str]) -> list[int]:
    """The rows of a sorted table at which another instrument begins, as these columns name it."""
    starts = {0}
    for name in names:
        column = table[name].combine_chunks()
        changes = pc.indices_nonzero(pc.not_equal(column[1:], column[:-1]))
        starts.update(index + 1 for index in changes.to_pylist())
    return sorted(starts)


def _rows(table: pa.Table, names: list[str], rows: list[int]) -> list[tuple[Any, ...]]:
    """The values of some rows; times in microseconds."""
    columns = [table[name].take(rows) for name in names]
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in columns]
    plain = [
        pc.divide(column, 1000) if name == "recv_ns" else column for name, column in zip(names, plain, strict=True)
    ]
    return list(zip(*(column.to_pylist() for column in plain), strict=True))


def seal_channel(channel: Channel, batches: Iterable[pa.RecordBatch], path: Path, ingestion: Ingestion) -> ChannelEntry:
    """Write a channel's rows, given as batches of the journal's schema, sorted to `path`, atomically and durably.

    The name's ending decides the format.

    Returns: the manifest's entry; without rows no file is written.
    Raises: StorageError where the disk refuses; nothing stands under `path` then.
    """
    form = format_of(path.name) or RawFormat.PARQUET
    found = _collect(channel, batches)
    if not found:
        return ChannelEntry()
    with storage_errors(f"seal {path}"):
        make_directory(path.parent)
        try:
            tables = (table for its in found.values() for table in its.tables(order_of(channel)))
            write_rows(temporary(path), form, tables, BRONZE[channel], ingestion)
        except OSError:
            temporary(path).unlink(missing_ok=True)
            raise
        pa.default_memory_pool().release_unused()  # a seal is a peak: what it took goes back to the system
        sha256 = checksum_file(temporary(path))
        publish(path)
        return ChannelEntry(
            file=path.name,
            rows=sum(its.rows for its in found.values()),
            bytes=path.stat().st_size,
            sha256=sha256,
            instruments={
                instrument.key: InstrumentEntry(rows=its.rows, first_us=its.first_us, last_us=its.last_us)
                for instrument, its in found.items()
            },
        )
