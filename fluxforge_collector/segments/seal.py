"""Sealing: a channel's journal becomes one sorted file, in bounded memory. When to seal is not decided here.

The journal is read once, in chunks; each chunk is sorted and cut by instrument. Then every instrument's cuts are
written in order, so a row group never mixes instruments. Memory: 64 MiB of cuts, the rest of them compressed (less than
the journal, which `segment_max_mb` bounds), and a row group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_collector.durable import make_directory, publish, storage_errors, temporary
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE
from fluxforge_collector.segments.manifest import ChannelEntry, InstrumentEntry, checksum_file
from fluxforge_collector.segments.names import RawFormat, format_of
from fluxforge_collector.segments.sealed import ROW_GROUP_ROWS, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fluxforge_collector.config.model import Ingestion

_CHUNK_ROWS = 16_384
_UNPACKED_BYTES = 64 << 20  # held as they are: an ordinary minute needs no packing
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4")


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches gathered until a chunk is worth sorting."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= _CHUNK_ROWS:
            yield pa.Table.from_batches(held)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _sorted(table: pa.Table, keys: list[str]) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys]))


def _cuts(chunk: pa.Table, keys: list[str]) -> Iterator[tuple[Instrument, pa.Table]]:
    """A chunk's rows by instrument, each sorted."""
    table = _sorted(chunk.combine_chunks(), ["exchange", "symbol", *keys]).combine_chunks()
    exchange, symbol = table["exchange"].chunk(0), table["symbol"].chunk(0)
    changes = pc.or_(pc.not_equal(exchange[1:], exchange[:-1]), pc.not_equal(symbol[1:], symbol[:-1]))
    starts = [0, *(index + 1 for index in pc.indices_nonzero(changes).to_pylist())]
    for start, end in zip(starts, [*starts[1:], len(table)], strict=True):
        yield Instrument(exchange[start].as_py(), symbol[start].as_py()), table.slice(start, end - start)


def _packed(cut: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, cut.schema, options=_PACKED) as stream:
        stream.write_table(cut)
    return sink.getvalue()


def _unpacked(cut: pa.Buffer | pa.Table) -> pa.Table:
    return cut if isinstance(cut, pa.Table) else pa.ipc.open_stream(cut).read_all()


class _InstrumentCuts:
    """One instrument's sorted cuts in order of arrival, packed once they are many."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys
        self._cuts: list[pa.Buffer | pa.Table] = []
        self._last: tuple[int, ...] = ()
        self._overlap = False
        self.rows = 0
        self.first_us = 0
        self.last_us = 0

    def append(self, cut: pa.Table, *, packed: bool) -> None:
        first, last = (tuple(cut[name].cast(pa.int64())[row].as_py() for name in self._keys) for row in (0, -1))
        self._overlap |= bool(self._cuts) and first < self._last
        self._last = max(self._last, last)
        self.first_us = min(self.first_us, first[0]) if self._cuts else first[0]
        self.last_us = self._last[0]
        self.rows += len(cut)
        self._cuts.append(_packed(cut) if packed else cut)

    def tables(self) -> Iterator[pa.Table]:
        """The rows in the order of their keys, in row groups that are full but for the last."""
        held: list[pa.Table] = [self._merged()] if self._overlap else []
        for cut in [] if self._overlap else self._cuts:
            held.append(_unpacked(cut))
            if sum(map(len, held)) >= ROW_GROUP_ROWS:
                table = pa.concat_tables(held)
                full = len(table) - len(table) % ROW_GROUP_ROWS
                yield table.slice(0, full)
                held = [table.slice(full)]
        if held and sum(map(len, held)):
            yield pa.concat_tables(held)

    def _merged(self) -> pa.Table:
        """All rows sorted at once: the rare case of records that arrived out of order."""
        return _sorted(pa.concat_tables([_unpacked(cut) for cut in self._cuts]), self._keys)


def _collect(channel: Channel, batches: Iterable[pa.RecordBatch]) -> dict[Instrument, _InstrumentCuts]:
    """The rows of a channel by instrument, instruments in the order of the file."""
    keys = ["gap_start" if channel is Channel.GAPS else "capture_ts", "seq"]
    cuts: dict[Instrument, _InstrumentCuts] = {}
    held_bytes = 0
    for chunk in _chunks(batches):
        held_bytes += chunk.nbytes
        for instrument, cut in _cuts(chunk, keys):
            its = cuts.setdefault(instrument, _InstrumentCuts(keys))
            its.append(cut, packed=held_bytes > _UNPACKED_BYTES)
    return {instrument: cuts[instrument] for instrument in sorted(cuts)}


def seal_channel(channel: Channel, batches: Iterable[pa.RecordBatch], path: Path, ingestion: Ingestion) -> ChannelEntry:
    """Write a channel's rows, given as batches of the journal's schema, sorted to `path`, atomically and durably.

    The name's ending decides the format.

    Returns: the manifest's entry; without rows no file is written.
    Raises: StorageError where the disk refuses; nothing stands under `path` then.
    """
    form = format_of(path.name) or RawFormat.PARQUET
    cuts = _collect(channel, batches)
    if not cuts:
        return ChannelEntry()
    with storage_errors(f"seal {path}"):
        make_directory(path.parent)
        try:
            tables = (table for its in cuts.values() for table in its.tables())
            write_rows(temporary(path), form, tables, BRONZE[channel], ingestion)
        except OSError:
            temporary(path).unlink(missing_ok=True)
            raise
        sha256 = checksum_file(temporary(path))
        publish(path)
        return ChannelEntry(
            file=path.name,
            rows=sum(its.rows for its in cuts.values()),
            bytes=path.stat().st_size,
            sha256=sha256,
            instruments={
                instrument.key: InstrumentEntry(rows=its.rows, first_us=its.first_us, last_us=its.last_us)
                for instrument, its in cuts.items()
            },
        )
