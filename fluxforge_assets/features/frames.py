"""Arrays to polars frames: the declared order and types, NaN to null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from fluxforge_assets.tables import Column, Dtype


def frame_of(columns: Sequence[Column], values: Mapping[str, npt.NDArray[np.generic]]) -> pl.DataFrame:
    """A frame of exactly `columns`, in order; a NaN or infinity is null."""
    return pl.DataFrame([_series(column, values[column.name]) for column in columns])


def empty_frame(columns: Sequence[Column]) -> pl.DataFrame:
    """A frame of `columns` without rows."""
    return pl.DataFrame(schema={column.name: column.dtype.polars for column in columns})


def _series(column: Column, values: npt.NDArray[np.generic]) -> pl.Series:
    if isinstance(values, pl.Series) or values.dtype != np.float64:
        series = pl.Series(column.name, values)
    else:
        is_finite = np.isfinite(values)
        if is_finite.all():
            series = pl.Series(column.name, values)
        else:
            series = pl.Series(column.name, np.where(is_finite, values, np.nan), nan_to_null=True)
    return series if column.dtype is Dtype.F64 else series.cast(column.dtype.polars)
