"""Rows as newline-delimited JSON and back: one object per line, its names those of the columns. No file is opened here.

Levels are `[[price, size], …]`, times ISO 8601 in UTC to the microsecond, what is null is null. JSON knows no NaN and
no infinity: such a number is the text "NaN", "Infinity" or "-Infinity". So every value comes back as it was.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_collector.errors import DataError
from fluxforge_collector.schemas import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_REMEDY = "quarantine the file, or restore it from a copy"


def to_lines(batch: pa.RecordBatch) -> bytes:
    """A line for each row."""
    columns = [_to_json(column) for column in batch.columns]
    names = batch.schema.names
    return b"".join(
        orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
        for row in zip(*columns, strict=True)
    )


def from_lines(lines: Iterable[bytes], schema: pa.Schema) -> pa.RecordBatch:
    """The columns of `schema`, which is without dictionaries, from a line for each row; a line may hold more.

    Raises: DataError for a line that is no object, or a value that its column cannot hold.
    """
    try:
        rows = [orjson.loads(line) for line in lines]
        columns = [_from_json([row[field.name] for row in rows], field) for field in schema]
    except KeyError as error:
        raise DataError(f"a row has no {error.args[0]!r}", _REMEDY) from error
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise DataError(f"a row cannot be read: {str(error).partition(chr(10))[0][:200]}", _REMEDY) from error
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _to_json(column: pa.Array) -> list[Any]:
    if column.type == LEVELS:
        return _levels_to_json(column)
    if pa.types.is_timestamp(column.type):
        text: list[Any] = pc.replace_substring(column.cast(pa.string()), " ", "T").to_pylist()
        return text
    return _numbers_to_json(column)


def _numbers_to_json(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type) and pc.all(pc.is_finite(column)).as_py() is False:
        return [v if v is None or math.isfinite(v) else _name(v) for v in values]
    return values


def _name(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _levels_to_json(column: pa.Array) -> list[Any]:
    prices, sizes = (_numbers_to_json(part) for part in column.flatten().flatten())
    levels = list(zip(prices, sizes, strict=True))
    ends = pc.cumulative_sum(pc.list_value_length(column).cast(pa.int64())).to_pylist()
    return [levels[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _from_json(values: list[Any], field: pa.Field) -> pa.Array:
    if field.type == LEVELS:
        return _levels_from_json(values)
    if pa.types.is_timestamp(field.type):
        column = pa.array(values, pa.string()).cast(field.type)
    elif pa.types.is_floating(field.type):
        column = _numbers_from_json(values)
    elif pa.types.is_integer(field.type) and any(isinstance(value, float) for value in values):
        raise ValueError(f"{field.name} is no integer")  # pyarrow would cut its fraction off
    else:
        column = pa.array(values, field.type)
    if column.null_count and not field.nullable:
        raise ValueError(f"{field.name} is null")
    return column


def _numbers_from_json(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.float64())
    except pa.ArrowInvalid:
        return pa.array([_NOT_FINITE.get(v, v) if isinstance(v, str) else v for v in values], pa.float64())


def _levels_from_json(values: list[Any]) -> pa.Array:
    levels = list(chain.from_iterable(values))
    if any(len(level) != 2 for level in levels):
        raise ValueError("a level is no pair of price and size")
    parts = [_numbers_from_json([level[side] for level in levels]) for side in (0, 1)]
    if any(part.null_count for part in parts):
        raise ValueError("a level has no price or no size")
    offsets = [0]
    for book in values:
        offsets.append(offsets[-1] + len(book))
    structs = pa.StructArray.from_arrays(parts, fields=list(LEVELS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs, type=LEVELS)
