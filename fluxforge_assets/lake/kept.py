"""Segment files read once by a run and kept for all its instruments, as far as memory allows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from fluxforge_assets.lake.inspection import runs_of
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.segments.sealed import most_bytes, read_table
from fluxforge_collector.storage.bucket import LakePath


class Kept:
    """Rows of small files by instrument. A file that finds no room is left to be read instrument by instrument."""

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes
        self._files: dict[tuple[LakePath, tuple[str, ...]], dict[str, pa.RecordBatch] | None] = {}
        self._used: set[tuple[LakePath, tuple[str, ...]]] = set()

    def __repr__(self) -> str:
        return f"<Kept {len(self._files)} files, {self._free} bytes free>"

    def rows(self, path: LakePath, schema: pa.Schema, instrument: Instrument) -> list[pa.RecordBatch] | None:
        """The instrument's rows of a file, in order; None where it is not kept. Raises: OSError, ArrowException."""
        known = (path, tuple(schema.names))
        if known not in self._files:
            self._files[known] = self._read(path, schema)
        self._used.add(known)
        rows = self._files[known]
        if rows is None:
            return None
        return [rows[instrument.key]] if instrument.key in rows else []

    def forget_unused(self) -> None:
        """Make room: let go what nobody asked for since the last time, and what found no room then."""
        for known, rows in list(self._files.items()):
            if rows is None or known not in self._used:
                del self._files[known]
                self._free += _bytes(rows)
        self._used.clear()

    def _read(self, path: LakePath, schema: pa.Schema) -> dict[str, pa.RecordBatch] | None:
        if most_bytes(path, schema.names) > self._free:
            return None
        batch = read_table(path, schema).combine_chunks()
        rows: dict[str, pa.RecordBatch] = {}
        start = 0
        for key, count in runs_of(batch.select(["exchange", "symbol"])):
            rows[key] = batch.slice(start, count).to_batches()[0]
            start += count
        self._free -= _bytes(rows)
        return rows


def _bytes(rows: dict[str, pa.RecordBatch] | None) -> int:
    return sum(batch.nbytes for batch in (rows or {}).values())


def between(batch: pa.RecordBatch, from_us: int, to_us: int) -> pa.RecordBatch:
    """The rows captured in `[from_us, to_us)` of rows sorted by capture time."""
    times = batch["capture_ts"].cast(pa.int64()).to_numpy()
    start, stop = np.searchsorted(times, (from_us, to_us)).tolist()
    return batch.slice(start, stop - start)
