"""Compacting a processed partition: neighbouring small parts become one, verified before it takes their place.

Of a closed day whatever is small is merged. Of the open day only what real time has appended, a part a minute, once
there are `open_day_parts` of it: what was merged stays until the day is closed, so no row is written again and again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fluxforge_assets.lake.advance import in_our_words, lock_name
from fluxforge_assets.lake.compacted import ROW_GROUP_ROWS, Compacted, target_bytes
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.parts import KEYS, Part, Provenance, as_metadata, parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.swap import discard, keep, new_directory, swap
from fluxforge_assets.lake.verification import ColumnDigests, Key, is_ascending, last_key
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.durable import storage_errors, sync_file
from fluxforge_collector.errors import DataError
from fluxforge_collector.storage.bucket import LakePath, readable, refusal

Joins = Callable[[LakePath, Part], bool]
"""Whether a part is to be merged with its neighbours, where they are to be too."""


class _Source(NamedTuple):
    """A part to be merged."""

    part: Part
    path: LakePath
    known: Provenance


def is_due(directory: LakePath, options: Compaction) -> bool:
    """Whether parts of the partition wait to be merged."""
    return any(len(run) > 1 for run in _runs(directory, _small(options)))


@in_our_words()
def compact_partition(lake: Lake, dataset: Dataset, place: Place, options: Compaction) -> Compacted | None:
    """Merge what is small; None where nothing is. Late data and backfills wait meanwhile.

    Raises: DataError where a part cannot be read or the copy differs, StorageError where the disk refuses; the
    partition is then as it was.
    """
    directory = lake.partition(place, dataset.folder)
    return _compact(lake, dataset, place, options, _small(options)) if is_due(directory, options) else None


@in_our_words()
def merge_appended(lake: Lake, dataset: Dataset, place: Place, options: Compaction) -> Compacted | None:
    """Merge what was appended to an open day; None while it is few. Raises: as above."""
    runs = _runs(lake.partition(place, dataset.folder), _appended)
    is_many = any(len(run) >= options.open_day_parts for run in runs)
    return _compact(lake, dataset, place, options, _appended) if is_many else None


def _small(options: Compaction) -> Joins:
    return lambda directory, part: (directory / part.name).stat().st_size < target_bytes(options)


def _appended(directory: LakePath, part: Part) -> bool:
    del directory
    return not part.is_merged


def _compact(lake: Lake, dataset: Dataset, place: Place, options: Compaction, joins: Joins) -> Compacted | None:
    directory = lake.partition(place, dataset.folder)
    began = time.monotonic()
    made = new_directory(lake.work)
    try:
        with locked(lake, lock_name(dataset, place)):
            before = _sizes(directory)
            rows, is_changed = 0, False
            for run in _runs(directory, joins):
                for sources in _same_kind(directory, run):
                    if len(sources) == 1:
                        keep(sources[0].path, made)
                    else:
                        rows += _merge(sources, made, dataset, options)
                        is_changed = True
            if not is_changed:
                return None
            swap(made, directory)
            after = _sizes(directory)
    finally:
        discard(made)
    partition = f"{place.date}|{place.instrument.key}"
    return Compacted(
        dataset.asset,
        place.source,
        partition,
        rows,
        len(before),
        len(after),
        sum(before),
        sum(after),
        time.monotonic() - began,
    )


def _sizes(directory: LakePath) -> list[int]:
    return [(directory / part.name).stat().st_size for part in parts_of(directory)]


def _runs(directory: LakePath, joins: Joins) -> Iterator[list[Part]]:
    """All parts in order, neighbours that join together."""
    parts = parts_of(directory)
    run: list[Part] = []
    for part in parts:
        if len(parts) > 1 and joins(directory, part):
            run.append(part)
            continue
        if run:
            yield run
            run = []
        yield [part]
    if run:
        yield run


def _same_kind(directory: LakePath, run: Sequence[Part]) -> Iterator[list[_Source]]:
    """A run's parts, those together that were computed alike: a partition is never a mixture for long."""
    held: list[_Source] = []
    for part in run:
        path = directory / part.name
        source = _Source(part, path, read_provenance(path))
        if held and source.known.fingerprint != held[-1].known.fingerprint:
            yield held
            held = []
        held.append(source)
    if held:
        yield held


def _merge(sources: Sequence[_Source], made: Path, dataset: Dataset, options: Compaction) -> int:
    """Write the sources' rows to as few files as their size allows; the number of rows."""
    rows = 0
    rest = list(sources)
    while rest:
        used = _write_one(rest, made, dataset, options)
        rows += sum(pq.read_metadata(readable(s.path)).num_rows for s in rest[:used])
        rest = rest[used:]
    return rows


def _write_one(sources: Sequence[_Source], made: Path, dataset: Dataset, options: Compaction) -> int:
    """Write and verify one file; how many sources went into it."""
    hidden = made / "merging.tmp"
    digests = ColumnDigests()
    schema = pq.read_schema(readable(sources[0].path))
    used, expected = 0, 0
    with storage_errors(f"merge parts of {sources[0].path.parent}"):
        with pa.OSFile(str(hidden), "wb") as sink, _writer(sink, schema, dataset, options) as writer:
            held: list[pa.Table] = []
            for source in sources:
                expected += pq.read_metadata(readable(source.path)).num_rows
                for table in _tables(source.path, schema):
                    digests.update(table)
                    held.append(table)
                    if sum(map(len, held)) >= ROW_GROUP_ROWS:
                        writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP_ROWS)
                        held = []
                used += 1
                if sink.tell() >= target_bytes(options):
                    break
            if held:
                writer.write_table(pa.concat_tables(held), row_group_size=ROW_GROUP_ROWS)
            writer.add_key_value_metadata(as_metadata(_provenance(sources[:used])))
        sync_file(hidden)
        _verify(hidden, digests, expected, dataset)
        first, last = sources[0].part, sources[used - 1].part
        with hidden.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        hidden.rename(made / f"part-{first.from_us}-{last.to_us}-{digest}-merged.parquet")
    return used


def _writer(sink: pa.NativeFile, schema: pa.Schema, dataset: Dataset, options: Compaction) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        schema.remove_metadata(),
        compression="zstd",
        compression_level=options.compression_level,
        use_dictionary=[name for name in KEYS if name in schema.names],
        write_statistics=[*KEYS, *dataset.key],
        data_page_version="1.0",
    )


def _tables(path: LakePath, schema: pa.Schema) -> Iterator[pa.Table]:
    """A part's rows, a row group's worth at a time."""
    try:
        with pq.ParquetFile(readable(path)) as file:
            for batch in file.iter_batches(ROW_GROUP_ROWS):
                yield pa.Table.from_batches([batch]).cast(schema.remove_metadata())
    except (OSError, pa.ArrowException, ValueError) as error:
        if refused := refusal(error):
            raise refused from error
        raise DataError(f"part {path} cannot be merged: {error}", "materialise its partition again") from error


def _provenance(sources: Sequence[_Source]) -> Provenance:
    """The newest part's, with what all of them used and were made from."""
    return dataclasses.replace(
        sources[-1].known,
        inputs=tuple(dict.fromkeys(name for s in sources for name in s.known.inputs)),
        merged=tuple(name for s in sources for name in s.known.merged or (s.part.name,)),
    )


def _verify(path: Path, wanted: ColumnDigests, rows: int, dataset: Dataset) -> None:
    """Read the file back. Raises: DataError where it does not hold exactly the rows of its sources, in order."""
    found = ColumnDigests()
    after: Key | None = None
    for table in _tables(path, pq.read_schema(path)):
        found.update(table)
        if not is_ascending(table, dataset.key, after, is_strict=True):
            raise DataError(
                f"parts of {dataset.asset} are not in order at {path.name}", "materialise the partition again"
            )
        after = last_key(table, dataset.key)
    if (found.rows, found.values()) != (rows, wanted.values()):
        raise DataError(f"merged parts of {dataset.asset} do not read back as written", "check the disk")
