"""Compacting bronze: a closed day's segments of a channel become few files, verified before they take their place.

Every segment is read once; its rows go to a spilled stream per instrument, which is then written in the order of a
sealed file: by instrument, within it by time. Memory holds a row group of what is read and one of what is written.
Manifests stay: they tell what was landed, and up to when.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_files import SEGMENTS, compacted_name, list_files
from fluxforge_assets.lake.compacted import ROW_GROUP_ROWS, Compacted, target_bytes
from fluxforge_assets.lake.landing import landing_lock
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.merging import merge
from fluxforge_assets.lake.parts import digest_of
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.replacing import files_of
from fluxforge_assets.lake.spill import Spill
from fluxforge_assets.lake.swap import discard, keep, new_directory, swap
from fluxforge_assets.lake.verification import ColumnDigests, Key, is_ascending, last_key
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.durable import storage_errors, sync_file
from fluxforge_collector.errors import DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE, order_of, plain_schema
from fluxforge_collector.segments.manifest import verify_file
from fluxforge_collector.segments.names import SegmentName
from fluxforge_collector.segments.sealed import parquet_options, read_rows
from fluxforge_collector.storage.bucket import LakePath, on_disk

CHANNELS = (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER, Channel.GAPS)
OPEN_INSTRUMENTS = 100
"""Spilled at once: each holds a file open."""


def segments_due(archive: Archive, channel: Channel, date: str) -> list[SegmentName]:
    """Landed segments with a file of their own; fewer than two are none."""
    own = archive.files(channel, date).own
    names = [n for n in archive.names(date) if n.id in own and channel in archive.manifest(n).channels]
    return names if len(names) > 1 else []


def compact_segments(lake: Lake, source: str, channel: Channel, date: str, options: Compaction) -> Compacted | None:
    """Merge a date's segments of a channel; None where fewer than two stand alone.

    Raises: DataError where a segment's file is not what its manifest says, or the copy differs; StorageError where the
    disk refuses. The date is then as it was.
    """
    archive = Archive(lake, source)
    names = segments_due(archive, channel, date)
    if not names:
        return None
    began = time.monotonic()
    folder = archive.paths.archive_dir / channel.value / f"date={date}"
    made, spilled = new_directory(lake.work), new_directory(lake.work)
    try:
        merged = _Merge(archive, channel, names, made, spilled, options)
        with storage_errors(f"merge segments of {folder}"):
            rows = merged.run()
        merged.verify()
        sizes = [file.stat().st_size for file in merged.files]
        before = sum(_file(archive, channel, name).stat().st_size for name in names)
        with locked(lake, landing_lock(source)):
            # another compaction or a conversion may have been here; whatever else stands in the folder stays in it
            gone = {_file(archive, channel, name) for name in names}
            if not gone <= set(list_files(folder).own.values()):
                return None
            for path in files_of(folder):
                if path not in gone:
                    keep(path, made)
            swap(made, folder)
    finally:
        discard(made)
        discard(spilled)
    return Compacted(
        f"bronze/{channel.value}",
        source,
        date,
        rows,
        len(names),
        len(sizes),
        before,
        sum(sizes),
        time.monotonic() - began,
    )


def _file(archive: Archive, channel: Channel, name: SegmentName) -> LakePath:
    return archive.files(channel, name.date).own[name.id]


class _Merge:
    """One channel's segments on their way into files of `made`."""

    def __init__(
        self,
        archive: Archive,
        channel: Channel,
        names: Sequence[SegmentName],
        made: Path,
        spilled: Path,
        options: Compaction,
    ) -> None:
        self._archive, self._channel, self._names, self._options = archive, channel, names, options
        self._keys, self._plain = order_of(channel), plain_schema(channel)
        ids = [name.id for name in names]
        self._run = digest_of(ids)[:12]
        self._schema = BRONZE[channel].with_metadata({**(BRONZE[channel].metadata or {}), SEGMENTS: json.dumps(ids)})
        self._made, self._spilled = made, spilled
        self.files: list[Path] = []
        self._digests = ColumnDigests()
        self._sink: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def run(self) -> int:
        """Write all rows; how many. Raises: DataError where a segment is not what its manifest says."""
        wanted = self._rows_by_instrument()
        instruments = sorted(Instrument.from_key(key) for key in wanted)
        for start in range(0, len(instruments), OPEN_INSTRUMENTS):
            chosen = instruments[start : start + OPEN_INSTRUMENTS]
            for instrument, spill in self._spill(chosen, is_first=start == 0).items():
                if spill.rows != wanted[instrument.key]:
                    raise DataError(
                        f"segments hold {spill.rows} rows of {instrument.key}, not {wanted[instrument.key]} as listed",
                        "restore the segment from a copy",
                    )
                self._write(spill)
        self._close()
        return self._digests.rows

    def verify(self) -> None:
        """Read the files back. Raises: DataError where they do not hold exactly the rows written, in order."""
        found = ColumnDigests()
        after: tuple[Instrument, Key] | None = None
        for path in self.files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group).cast(self._plain)
                    found.update(table)
                    instrument = _instruments(table)
                    key = after[1] if after and after[0] == instrument[0] else None
                    in_order = len(instrument) == 1 and (after is None or after[0] <= instrument[0])
                    if not in_order or not is_ascending(table, self._keys, key, is_strict=False):
                        raise DataError(f"merged rows of {self._channel} are not in order", "report this as a defect")
                    after = instrument[0], last_key(table, self._keys)
        if (found.rows, found.values()) != (self._digests.rows, self._digests.values()):
            raise DataError(f"merged files of {self._channel} do not read back as written", "check the disk")

    def _rows_by_instrument(self) -> dict[str, int]:
        wanted: dict[str, int] = {}
        for name in self._names:
            for key, entry in self._archive.manifest(name).channels[self._channel].instruments.items():
                wanted[key] = wanted.get(key, 0) + entry.rows
        return wanted

    def _spill(self, chosen: Sequence[Instrument], *, is_first: bool) -> dict[Instrument, Spill]:
        """The rows of some instruments, from all segments; each file is checked the first time."""
        spills = {
            instrument: Spill(self._spilled / str(number), self._plain, self._keys)
            for number, instrument in enumerate(chosen)
        }
        for name in self._names:
            path = on_disk(_file(self._archive, self._channel, name), self._spilled / "segments")
            if is_first:
                verify_file(path, self._archive.manifest(name).channels[self._channel])
            for table in self._rows(path):
                for instrument in _instruments(table):
                    if instrument in spills:
                        spills[instrument].add(_of(table, instrument))
        return spills

    def _rows(self, path: Path) -> Iterator[pa.Table]:
        try:
            for batch in read_rows(path, self._plain, batch_rows=ROW_GROUP_ROWS):
                yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise DataError(f"bronze file {path} cannot be read: {error}", "restore it from a copy") from error

    def _write(self, spill: Spill) -> None:
        """One instrument's rows in row groups that are full but for the last."""
        for table in _full_groups(merge(spill.streams(), self._keys)):
            self._digests.update(table)
            writer = self._open()
            writer.write_table(_encoded(table, self._schema), row_group_size=ROW_GROUP_ROWS)
            if self._sink is not None and self._sink.tell() >= target_bytes(self._options):
                self._close()
        spill.remove()

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            self.files.append(self._made / compacted_name(self._run, len(self.files)))
            self._sink = pa.OSFile(str(self.files[-1]), "wb")
            self._writer = pq.ParquetWriter(
                self._sink,
                self._schema,
                compression="zstd",
                compression_level=self._options.compression_level,
                **parquet_options(self._schema),
            )
        return self._writer

    def _close(self) -> None:
        if self._writer is not None and self._sink is not None:
            self._writer.close()
            self._sink.close()
            sync_file(self.files[-1])
            self._writer = self._sink = None


def _full_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROW_GROUP_ROWS:
            table = pa.Table.from_batches(held)
            yield table.slice(0, ROW_GROUP_ROWS)
            held = table.slice(ROW_GROUP_ROWS).to_batches()
    if held and sum(map(len, held)):
        yield pa.Table.from_batches(held)


def _encoded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Plain strings as the dictionaries of the schema."""
    columns = [
        table[f.name].combine_chunks().dictionary_encode().cast(f.type)
        if pa.types.is_dictionary(f.type)
        else table[f.name]
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _instruments(table: pa.Table) -> list[Instrument]:
    """The instruments of a table's rows, sorted."""
    pairs = table.group_by(["exchange", "symbol"]).aggregate([]).to_pylist()
    return sorted(Instrument(pair["exchange"], pair["symbol"]) for pair in pairs)


def _of(table: pa.Table, instrument: Instrument) -> pa.Table:
    mask = pc.and_(pc.equal(table["exchange"], instrument.exchange), pc.equal(table["symbol"], instrument.symbol))
    return table if pc.all(mask).as_py() else table.filter(mask)
