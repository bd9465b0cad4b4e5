"""Bronze rows of one instrument as arrays for the event passes: Arrow buffers, not copied where the layout allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_assets.kernels.book_pass import MISSING, BookChunk
from fluxforge_assets.kernels.trade_pass import TradeChunk
from fluxforge_collector.errors import DataError

Frame: TypeAlias = pl.DataFrame | pa.Table | pa.RecordBatch
Int64Array = npt.NDArray[np.int64]

BOOK_COLUMNS = ("exchange", "symbol", "capture_ts", "bids", "asks")
TRADE_COLUMNS = ("exchange", "symbol", "capture_ts", "side", "price", "amount")
CHUNK_ROWS = 16_384

_SIGNS = {"buy": 1, "sell": -1}


def as_table(frame: Frame, what: str) -> pa.Table:
    """The frame as an Arrow table. Raises: DataError where it is no frame."""
    if isinstance(frame, pl.DataFrame):
        return frame.to_arrow()
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.Table):
        return frame
    raise DataError(f"{what}: {type(frame).__name__} is not a frame", "pass a polars DataFrame or a pyarrow Table")


def require_columns(table: pa.Table | pa.RecordBatch, names: tuple[str, ...], what: str) -> None:
    """Raises: DataError where a column is missing."""
    missing = [name for name in names if name not in table.schema.names]
    if missing:
        raise DataError(
            f"{what}: no column {', '.join(missing)}; it has {', '.join(table.schema.names) or 'none'}",
            "pass bronze rows as the collector writes them",
        )


def instrument_of(batch: pa.RecordBatch, what: str) -> tuple[str, str]:
    """Exchange and symbol of the rows. Raises: DataError for several instruments or a null name."""
    names: list[str] = []
    for column in ("exchange", "symbol"):
        found = pc.unique(batch[column]).to_pylist()
        if len(found) > 1:
            raise DataError(f"{what}: {len(found)} values of {column}", "filter the rows to one instrument")
        if found[0] is None:
            raise DataError(f"{what}: {column} is null", "name the instrument in every row")
        names.append(str(found[0]))
    return names[0], names[1]


def microseconds(column: Any, what: str) -> Int64Array:
    """A column of times as int64 µs, read-only. Raises: DataError for a null or another type."""
    if column.null_count:
        raise DataError(f"{what}: {column.null_count} values are null", "every row needs its time")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif not pa.types.is_integer(column.type):
        raise DataError(f"{what}: {column.type} is no time", "use timestamps, or integers in microseconds")
    whole: Int64Array = _numbers(column.cast(pa.int64()))
    return whole


def in_order(table: pa.Table, what: str) -> pa.Table:
    """The rows by (capture_ts, seq); by capture_ts and position without `seq`.

    Raises: DataError where rows out of order share both, so that no order is right.
    """
    ts = microseconds(table["capture_ts"], f"{what}: capture_ts")
    seq = microseconds(table["seq"], f"{what}: seq") if "seq" in table.schema.names else None
    if _is_sorted(ts, seq):
        return table
    order = np.argsort(ts, kind="stable") if seq is None else np.lexsort((seq, ts))
    if seq is not None and ((np.diff(ts[order]) == 0) & (np.diff(seq[order]) == 0)).any():
        raise DataError(
            f"{what}: rows out of order share capture_ts and seq", "sort the rows, or drop those that are twice there"
        )
    return table.take(pa.array(order))


class Instrument:
    """The one instrument of a run, learnt from the first rows of whichever channel has any."""

    def __init__(self) -> None:
        self._names: tuple[str, str] | None = None

    def checked(self, batches: Iterable[pa.RecordBatch], what: str) -> Iterator[pa.RecordBatch]:
        """The batches. Raises: DataError where one is of another instrument, lacks a column or is not ascending."""
        last_us = int(MISSING)
        for batch in batches:
            require_columns(batch, BOOK_COLUMNS if what == "book" else TRADE_COLUMNS, what)
            if not len(batch):
                continue
            names = instrument_of(batch, what)
            self._names = self._names or names
            if names != self._names:
                raise DataError(
                    f"{what}: {' '.join(names)} beside {' '.join(self._names)}", "filter the rows to one instrument"
                )
            last_us = _last_us(batch, last_us, what)
            yield batch

    def key(self, rows: int) -> dict[str, pl.Series]:
        """The key columns that name the instrument."""
        exchange, symbol = self._names or ("", "")
        return {
            "exchange": pl.repeat(exchange, rows, dtype=pl.String, eager=True),
            "symbol": pl.repeat(symbol, rows, dtype=pl.String, eager=True),
        }


def _last_us(batch: pa.RecordBatch, after_us: int, what: str) -> int:
    """Time of the last row, µs. Raises: DataError where rows are not ascending, or start before `after_us`."""
    ts = microseconds(batch["capture_ts"], f"{what}: capture_ts")
    seq = microseconds(batch["seq"], f"{what}: seq") if "seq" in batch.schema.names else None
    if ts[0] < after_us or not _is_sorted(ts, seq):
        raise DataError(f"{what}: rows are not ascending in (capture_ts, seq)", "sort them before streaming")
    return int(ts[-1])


def _is_sorted(ts: Int64Array, seq: Int64Array | None) -> bool:
    """Whether rows are by time, and by arrival at equal times."""
    step = np.diff(ts)
    if seq is None:
        return bool((step >= 0).all())
    return bool(((step > 0) | ((step == 0) & (np.diff(seq) > 0))).all())


def batches_of(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """The table in pieces of bounded size, not copied."""
    yield from table.to_batches(max_chunksize=CHUNK_ROWS)


def book_chunk(batch: pa.RecordBatch) -> BookChunk:
    """A batch of book rows as arrays. Raises: DataError where a column has another type."""
    require_columns(batch, BOOK_COLUMNS, "book")
    return BookChunk(
        microseconds(batch["capture_ts"], "book: capture_ts"),
        _whole(batch, "nonce", len(batch)),
        _exchange_ms(batch, "book"),
        *_levels(batch["bids"], "bids"),
        *_levels(batch["asks"], "asks"),
    )


def trade_chunk(batch: pa.RecordBatch) -> TradeChunk:
    """A batch of trade rows as arrays. Raises: DataError where a column has another type."""
    require_columns(batch, TRADE_COLUMNS, "trades")
    return TradeChunk(
        microseconds(batch["capture_ts"], "trades: capture_ts"),
        _exchange_ms(batch, "trades"),
        _signs(batch["side"]),
        _floats(batch["price"], "trades: price"),
        _floats(batch["amount"], "trades: amount"),
    )


def _numbers(array: Any) -> Any:
    """Arrow numbers as a read-only NumPy array: the kernels see one array type whatever the source."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    values = array.to_numpy(zero_copy_only=False)
    values.setflags(write=False)
    return values


def _floats(array: Any, what: str) -> npt.NDArray[np.float64]:
    """Arrow numbers as float64, null as NaN."""
    if not (pa.types.is_floating(array.type) or pa.types.is_integer(array.type) or pa.types.is_null(array.type)):
        raise DataError(f"{what}: {array.type} is not a number", "parse the decimal text to float64")
    values: npt.NDArray[np.float64] = _numbers(array.cast(pa.float64()))
    return values


def _whole(batch: pa.RecordBatch, name: str, rows: int) -> Int64Array:
    """An optional int64 column, null as `MISSING`."""
    if name not in batch.schema.names or pa.types.is_null(batch[name].type):
        values = np.full(rows, MISSING)
        values.setflags(write=False)
        return values
    if not pa.types.is_integer(batch[name].type):
        raise DataError(f"{name}: {batch[name].type} is not an integer", "use int64")
    whole: Int64Array = _numbers(batch[name].cast(pa.int64()).fill_null(MISSING))
    return whole


def _exchange_ms(batch: pa.RecordBatch, what: str) -> Int64Array:
    """The exchange's time in ms, from `timestamp` or `exchange_ts`."""
    name = "timestamp" if "timestamp" in batch.schema.names else "exchange_ts"
    if name in batch.schema.names and pa.types.is_timestamp(batch[name].type):
        at = batch[name].cast(pa.timestamp("ms", batch[name].type.tz), safe=False).cast(pa.int64())
        batch = pa.record_batch([at], names=[name])
    if name in batch.schema.names and pa.types.is_floating(batch[name].type):
        raise DataError(f"{what}: {name} is {batch[name].type}", "use int64 milliseconds")
    return _whole(batch, name, len(batch))


def _levels(array: Any, what: str) -> tuple[Int64Array, Int64Array, Any, Any]:
    """First and last level of each row into the flat prices and sizes. A null list has none, a null level NaN."""
    kind = array.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not (
        pa.types.is_struct(kind.value_type)
        and {"price", "size"} <= {kind.value_type.field(i).name for i in range(kind.value_type.num_fields)}
    ):
        raise DataError(f"book: {what} is {kind}", "use list<struct<price, size>>, best level first")
    offsets = array.offsets.to_numpy().astype(np.int64)
    start, stop = offsets[:-1], offsets[1:]
    if array.null_count:
        stop = np.where(array.is_null().to_numpy(zero_copy_only=False), start, stop)
    start.setflags(write=False)
    stop.setflags(write=False)
    values = array.values
    # flatten() carries nulls of whole levels into their fields, field() does not.
    fields = values.flatten() if values.null_count else [values.field(i) for i in range(kind.value_type.num_fields)]
    by_name = {kind.value_type.field(i).name: fields[i] for i in range(kind.value_type.num_fields)}
    return start, stop, _floats(by_name["price"], f"{what}: price"), _floats(by_name["size"], f"{what}: size")


def _signs(array: Any) -> npt.NDArray[np.int8]:
    """Taker sides as +1, −1, and 0 for anything else."""
    if pa.types.is_null(array.type):
        signs = np.zeros(len(array), np.int8)
    else:
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        by_code = np.array([_SIGNS.get(str(name).strip().lower(), 0) for name in names] + [0], np.int8)
        signs = by_code[encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)]
    signs.setflags(write=False)
    return signs
