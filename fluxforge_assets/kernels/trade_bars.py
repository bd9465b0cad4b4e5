"""Trades to bars in one pass over the trades for each duration, nothing allocated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

OPEN, HIGH, LOW, CLOSE, VOLUME, VALUE, BUY_VOLUME = range(7)
FIELDS = ("open", "high", "low", "close", "volume", "value", "buy_volume")
"""The rows of `values`, in order."""


@compiled
def count_bars(ts: Int64Array, duration: int) -> int:
    """How many bars of `duration` µs ascending times fall into."""
    bars, end = 0, np.int64(-1)
    for i in range(len(ts)):
        if ts[i] >= end:
            end = (ts[i] // duration + 1) * duration
            bars += 1
    return bars


@compiled
def roll_trades(
    ts: Int64Array,
    price: Float64Array,
    amount: Float64Array,
    sign: Int8Array,
    duration: int,
    ends: Int64Array,
    counts: Int64Array,
    values: Float64Array,
) -> None:
    """Bars of `duration` µs from trades ascending by `ts`, µs; a trade on an edge opens the later bar.

    `sign`: +1 where the taker bought. `ends`, `counts`: shape (bars,); `values`: shape (7, bars), rows of `FIELDS`.
    """
    bar, end = -1, np.int64(-1)
    count, high, low, volume, value, bought = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(ts)):
        if ts[i] >= end:
            bar += 1
            end = (ts[i] // duration + 1) * duration
            ends[bar] = end
            values[OPEN, bar] = high = low = price[i]
            count, volume, value, bought = 0, 0.0, 0.0, 0.0
        count += 1
        high = max(high, price[i])
        low = min(low, price[i])
        volume += amount[i]
        value += price[i] * amount[i]
        if sign[i] > 0:
            bought += amount[i]
        if i + 1 == len(ts) or ts[i + 1] >= end:
            counts[bar] = count
            values[HIGH, bar] = high
            values[LOW, bar] = low
            values[CLOSE, bar] = price[i]
            values[VOLUME, bar] = volume
            values[VALUE, bar] = value
            values[BUY_VOLUME, bar] = bought
