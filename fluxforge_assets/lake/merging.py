"""Merging sorted streams of rows into one, holding a batch of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class _Stream:
    """A sorted stream and those of its rows that were read and not yet given out."""

    def __init__(self, batches: Iterator[pa.RecordBatch], time: str) -> None:
        self._batches, self._time = batches, time
        self.rows: Any = None
        self.is_done = False

    def fill(self) -> None:
        """Have rows in hand, where there are any left."""
        while not self.is_done and (self.rows is None or not self.rows.num_rows):
            self.extend()

    def extend(self) -> None:
        """Read one batch more."""
        batch = next(self._batches, None)
        if batch is None:
            self.is_done = True
            return
        read = pa.Table.from_batches([batch])
        self.rows = pa.concat_tables([self.rows, read]) if self.rows is not None and self.rows.num_rows else read

    def last(self) -> int:
        return int(self._times()[-1])

    def take_before(self, limit: int | None) -> pa.Table | None:
        """Give out the rows before a time, or all."""
        if self.rows is None or not self.rows.num_rows:
            return None
        count = self.rows.num_rows if limit is None else int(self._times().searchsorted(limit))
        taken, self.rows = self.rows.slice(0, count), self.rows.slice(count)
        return taken if count else None

    def _times(self) -> npt.NDArray[np.int64]:
        times: npt.NDArray[np.int64] = self.rows[self._time].cast(pa.int64()).to_numpy()
        return times


def merge(streams: Sequence[Iterable[pa.RecordBatch]], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of all streams, each sorted by `keys` (the first an instant), in the order of the keys.

    Rows of equal keys come in the order of the streams. A single stream passes as it is.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    known = [_Stream(iter(stream), keys[0]) for stream in streams]
    while known:
        for stream in known:
            stream.fill()
        known = [s for s in known if not s.is_done or (s.rows is not None and s.rows.num_rows)]
        limits = [s.last() for s in known if not s.is_done]
        # a stream that ends on an instant may go on with it, so rows of the least such instant wait
        limit = min(limits, default=None)
        taken = [rows for s in known if (rows := s.take_before(limit)) is not None]
        if taken:
            rows = pa.concat_tables(taken)
            if len(taken) > 1:
                rows = rows.sort_by([(name, "ascending") for name in keys])
            yield from rows.combine_chunks().to_batches()
            continue
        for stream in known:
            if not stream.is_done and stream.last() == limit:
                stream.extend()
