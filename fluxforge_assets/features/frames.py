"""Arrays to polars frames: the declared order and types, NaN to null, buffers handed over and not copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fluxforge_assets.tables import Column, Dtype

Array = npt.NDArray[np.generic]

_TYPES: dict[Dtype, tuple[type[np.generic], pa.DataType]] = {
    Dtype.F64: (np.float64, pa.float64()),
    Dtype.U32: (np.uint32, pa.uint32()),
    Dtype.I64: (np.int64, pa.int64()),
    Dtype.I8: (np.int8, pa.int8()),
}


def frame_of(columns: Sequence[Column], values: Mapping[str, Array | pl.Series]) -> pl.DataFrame:
    """A frame of exactly `columns`, in order; a NaN or infinity is null. It keeps the arrays: do not change them."""
    arrays = [_array(column, values[column.name]) for column in columns]
    return pl.DataFrame(pa.RecordBatch.from_arrays(arrays, [column.name for column in columns]))


def empty_frame(columns: Sequence[Column]) -> pl.DataFrame:
    """A frame of `columns` without rows."""
    return pl.DataFrame(schema={column.name: column.dtype.polars for column in columns})


def _array(column: Column, values: Array | pl.Series) -> pa.Array:
    if isinstance(values, pl.Series):
        return values.to_arrow()
    own, stored = _TYPES[column.dtype]
    nulls, valid = 0, None
    if values.dtype == np.float64:
        is_finite = np.isfinite(values)
        nulls = len(values) - int(np.count_nonzero(is_finite))
        if nulls:
            valid = pa.py_buffer(np.packbits(is_finite, bitorder="little"))
            if column.dtype is not Dtype.F64:
                values = np.where(is_finite, values, 0.0)
    data = pa.py_buffer(np.ascontiguousarray(values, own))
    return pa.Array.from_buffers(stored, len(values), [valid, data], nulls)
