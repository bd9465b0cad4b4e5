"""Records flattened on arrival into one buffer per column, and those buffers as Arrow batches. Nothing is written here.

A book's levels arrive as flat floats and leave as `list<struct<price, size>>` by two strided copies: no object per
level is ever made, and none is kept for the garbage collector to visit.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fluxforge_collector.errors import DataError
from fluxforge_collector.records import BookRecord, Channel, FrameRecord, GapRecord, Record, TickerRecord, TradeRecord
from fluxforge_collector.schemas import BRONZE, LEVELS, plain_schema

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS: dict[type[Any], Channel] = {
    BookRecord: Channel.ORDERBOOK,
    TradeRecord: Channel.TRADES,
    TickerRecord: Channel.TICKER,
    FrameRecord: Channel.FRAMES,
    GapRecord: Channel.GAPS,
}
"""The channel of each kind of record, gaps last: a segment covers these, frames where they are recorded."""

FIELDS = {
    "collected_at": "collected_ms",
    "capture_ts": "capture_us",
    "timestamp": "timestamp_ms",
    "gap_start": "gap_start_us",
    "gap_end": "gap_end_us",
}
"""The field of a record behind a column, where the names differ."""


def journal_schema(channel: Channel) -> pa.Schema:
    """The channel's schema with plain strings: a stream of batches then needs no dictionaries beside it."""
    return plain_schema(channel).with_metadata(BRONZE[channel].metadata)


def time_us(record: Record) -> int:
    """The capture time that decides a record's segment; a gap belongs where it ends."""
    return record.gap_end_us if isinstance(record, GapRecord) else record.capture_us


class _Levels:
    """One side of many books: prices and sizes in turn, and where each book ends."""

    def __init__(self) -> None:
        self.flat = array("d")
        self.offsets = array("i", [0])

    def append(self, levels: list[float]) -> None:
        if len(levels) % 2:
            raise ValueError("levels are prices and sizes in turn")
        self.flat.fromlist(levels)
        self.offsets.append(len(self.flat) // 2)

    def __delitem__(self, rows: slice) -> None:
        del self.offsets[rows.start + 1 :]
        del self.flat[2 * self.offsets[-1] :]

    def to_arrow(self) -> pa.Array:
        parts = [
            pa.Array.from_buffers(pa.float64(), len(self.flat) // 2, [None, pa.py_buffer(self.flat[start::2])])
            for start in (0, 1)
        ]
        offsets = pa.Array.from_buffers(pa.int32(), len(self.offsets), [None, pa.py_buffer(self.offsets)])
        return pa.ListArray.from_arrays(
            offsets, pa.StructArray.from_arrays(parts, fields=list(LEVELS.value_type)), type=LEVELS
        )


def _storable(value: Any, field: pa.Field) -> Any:
    """The value itself where its column can hold it; else text escaped, and what may be null, null."""
    try:
        pa.scalar(value, field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        if isinstance(value, str) and pa.types.is_string(field.type):
            return value.encode("utf-8", "backslashreplace").decode()
        if field.nullable:
            return None
        raise
    return value


def _to_arrow(values: list[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array([_storable(value, field) for value in values], field.type)


class Columns:
    """The rows of one channel, a buffer per column."""

    def __init__(self, channel: Channel) -> None:
        self._schema = journal_schema(channel)
        self._buffers: dict[str, list[Any] | _Levels] = {
            field.name: _Levels() if field.type == LEVELS else [] for field in self._schema
        }
        record = next(kind for kind, its in RECORDS.items() if its is channel)
        column_of = {FIELDS.get(name, name): name for name in self._schema.names}
        self._in_order = [self._buffers[column_of[field]] for field in record._fields]
        self._appends: list[Callable[[Any], None]] = [buffer.append for buffer in self._in_order]
        self.rows = 0

    def __len__(self) -> int:
        return self.rows

    def append(self, record: Record) -> None:
        """Copy a record's values. Raises: DataError, the columns left as they were, where its levels are no floats."""
        try:
            for append, value in zip(self._appends, record, strict=True):
                append(value)
        except (TypeError, ValueError) as error:
            for buffer in self._in_order:
                del buffer[self.rows :]
            raise DataError(f"a record of {record[0]} {record[1]} cannot be kept: {error}") from error
        self.rows += 1

    def to_batch(self) -> pa.RecordBatch:
        """All rows as one batch of the journal's schema; the columns must not be appended to afterwards."""
        return pa.RecordBatch.from_arrays(
            [
                buffer.to_arrow() if isinstance(buffer, _Levels) else _to_arrow(buffer, self._schema.field(name))
                for name, buffer in self._buffers.items()
            ],
            schema=self._schema,
        )
