"""Family R: ages of the book, the trades and the mid at the row's time, latency, and the season of the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fluxforge_assets.features.registry import AGE
from fluxforge_assets.tables import Dtype, Kind, feature

if TYPE_CHECKING:
    from fluxforge_assets.features.rows import Rows

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_WEEK_US = 7 * _DAY_US
_THURSDAY_US = 3 * _DAY_US  # the epoch was a Thursday


def _age(rows: Rows, seen: Int64Array) -> Float64Array:
    """T − the time seen last, µs; NaN where none was within max_gap."""
    from fluxforge_assets.kernels.book_pass import MISSING  # noqa: PLC0415  who declares columns compiles nothing

    age = rows.ts - np.maximum(seen, 0)
    return np.where((seen == MISSING) | (age > rows.options.max_gap_us), np.nan, age)


@feature(AGE, "lag_ms", family="R", kind=Kind.AGE, unit="ms", null="n_book = 0 or no exchange_ts",
         formula="(capture_ts − 1000 exchange_ts)/1000")  # fmt: skip
def lag_ms(rows: Rows) -> Float64Array:
    """Latency of the last valid book of the bucket."""
    return rows.lag_ms


@feature(AGE, "book_age_us", family="R", kind=Kind.AGE, unit="us", null="none within max_gap", dtype=Dtype.I64,
         formula="T − last valid book event before T")  # fmt: skip
def book_age_us(rows: Rows) -> Float64Array:
    """Age of the last valid book, of whatever bucket."""
    return _age(rows, rows.book_ts)


@feature(AGE, "trade_age_us", family="R", kind=Kind.AGE, unit="us", null="none within max_gap", dtype=Dtype.I64,
         formula="T − last valid trade before T", trades=True)  # fmt: skip
def trade_age_us(rows: Rows) -> Float64Array:
    """Age of the last valid trade, of whatever bucket."""
    return _age(rows, rows.trade_ts)


@feature(AGE, "mid_age_us", family="R", kind=Kind.AGE, unit="us", null="n_book = 0", dtype=Dtype.I64,
         formula="min(T − t*, max_gap), t* = last event that moved the mid or began a segment")  # fmt: skip
def mid_age_us(rows: Rows) -> Float64Array:
    """Time since the mid moved or the book began anew, at most max_gap."""
    age = np.minimum(rows.ts - np.maximum(rows.moved_ts, 0), rows.options.max_gap_us)
    return np.where(rows.statistics["n_book"] == 0, np.nan, age)


@feature(AGE, "hour_utc", family="R", kind=Kind.AGE, unit="h", dtype=Dtype.I8)
def hour_utc(rows: Rows) -> Int64Array:
    """Hour of the day at T, 0 to 23."""
    hour: Int64Array = rows.ts % _DAY_US // _HOUR_US
    return hour


@feature(AGE, "dow_utc", family="R", kind=Kind.AGE, unit="d", dtype=Dtype.I8)
def dow_utc(rows: Rows) -> Int64Array:
    """Day of the week at T, 0 = Monday."""
    day: Int64Array = (rows.ts + _THURSDAY_US) % _WEEK_US // _DAY_US
    return day


@feature(AGE, "is_weekend", family="R", kind=Kind.AGE, unit="1", formula="dow_utc ≥ 5", dtype=Dtype.I8)
def is_weekend(rows: Rows) -> Any:
    """Whether T is on a Saturday or Sunday."""
    return (dow_utc(rows) >= 5).astype(np.int64)


_CYCLES = {
    "tod": (_DAY_US, 0, "day"),
    "dow": (_WEEK_US, _THURSDAY_US, "week, from Monday 00:00"),
    "moh": (_HOUR_US, 0, "hour"),
    "fund8h": (8 * _HOUR_US, 0, "8 hours of a perpetual's funding"),
}


def _declare(cycle: str, wave: str) -> None:
    """Declare the sine or cosine of the position of T in a cycle."""
    length, shift, what = _CYCLES[cycle]

    def compute(rows: Rows) -> Float64Array:
        phase = (rows.ts + shift) % length / length
        values: Float64Array = getattr(np, wave)(2.0 * np.pi * phase)
        return values

    compute.__doc__ = f"{'Sine' if wave == 'sin' else 'Cosine'} of the position of T in the {what}."
    declare = feature(AGE, f"{cycle}_{wave}", family="R", kind=Kind.AGE, unit="1", formula=f"{wave} 2πφ")
    declare(compute)


for _cycle in _CYCLES:
    for _wave in ("sin", "cos"):
        _declare(_cycle, _wave)
