"""Generated bronze for the benchmarks: books of 20 levels whose prices and sizes persist as a market's do, trades.

Seeded; the same arguments give the same rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE, LEVELS

START_US = 1_760_000_000_000_000
LEVELS_SENT = 20
TICK = 0.01


def generate(events: int, seed: int, *, events_per_s: float = 10.0, turnover: float = 0.2) -> tuple[pa.Table, pa.Table]:
    """Book and trade rows of one instrument; `turnover` is the share of levels that change per update."""
    random = np.random.default_rng(seed)
    ts = START_US + np.cumsum(random.gamma(1.6, 1e6 / events_per_s / 1.6, events).astype(np.int64) + 1)
    sides = [_side(random, events, turnover) for _ in range(2)]
    best = np.round(5_000_000 + np.cumsum(random.choice([-1, 0, 0, 0, 0, 0, 1], events))).astype(np.int64)
    width = 1 + random.geometric(0.7, events) // 2
    prices = ((best[:, None] - sides[0][0]) * TICK, (best[:, None] + width[:, None] + sides[1][0]) * TICK)
    book = pa.table(
        [
            pa.array(ts // 1000),
            _times(ts),
            _name("venue", events),
            _name("AAA/USD", events),
            pa.array(ts // 1000 - random.integers(3, 40, events)),
            pa.array(np.arange(events) * 3 + 10),
            *(_levels(price, side[1]) for price, side in zip(prices, sides, strict=True)),
            pa.array(np.arange(events)),
            pa.array(np.zeros(events, np.int32)),
        ],
        schema=BRONZE[Channel.ORDERBOOK],
    )
    return book, _trades(random, ts, best, width)


def _side(
    random: np.random.Generator, events: int, turnover: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Distance from the best price in ticks, and size, of each level: both stay until they change."""
    shape = (events, LEVELS_SENT)
    steps = _persistent(random.geometric(0.45, shape), random.random(shape) < turnover / 10)
    steps[:, 0] = 0
    sizes = np.maximum(np.round(np.exp(random.normal(0.0, 1.6, shape)), 3), 0.001)
    return np.cumsum(steps, axis=1), _persistent(sizes, random.random(shape) < turnover)


def _persistent(values: np.ndarray, is_new: npt.NDArray[np.bool_]) -> np.ndarray:
    """Each value until the next new one of its level."""
    rows = np.arange(len(values))[:, None]
    return np.take_along_axis(values, np.maximum.accumulate(np.where(is_new, rows, 0)), axis=0)


def _trades(
    random: np.random.Generator, ts: npt.NDArray[np.int64], best: npt.NDArray[np.int64], width: npt.NDArray[np.int64]
) -> pa.Table:
    """A trade for every fifth update, at the best quote it meets."""
    n = len(ts) // 5
    at = np.sort(random.integers(0, len(ts), n))
    is_buy = random.random(n) < 0.5
    when = np.maximum.accumulate(ts[at] + random.integers(1, 90_000, n))
    price = np.where(is_buy, best[at] + width[at], best[at]) * TICK
    amount = np.maximum(np.round(np.exp(random.normal(-1.0, 1.5, n)), 3), 0.001)
    return pa.table(
        [
            pa.array(when // 1000),
            _times(when),
            _name("venue", n),
            _name("AAA/USD", n),
            pa.array([str(i) for i in range(n)]),
            pa.array(when // 1000 - random.integers(3, 40, n)),
            pa.array(np.where(is_buy, "buy", "sell")).dictionary_encode(),
            pa.array(price),
            pa.array(amount),
            pa.array(price * amount),
            pa.nulls(n, pa.string()),
            pa.array(np.arange(n)),
            pa.array(np.zeros(n, np.int32)),
            pa.array(np.zeros(n, np.bool_)),
        ],
        schema=BRONZE[Channel.TRADES],
    )


def _times(ts: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(ts).cast(pa.timestamp("us", "UTC"))


def _name(name: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([name]))


def _levels(price: npt.NDArray[np.float64], size: npt.NDArray[np.float64]) -> pa.Array:
    pair = LEVELS.value_type
    flat = pa.StructArray.from_arrays(
        [pa.array(price.ravel()), pa.array(size.ravel())], fields=[pair.field(0), pair.field(1)]
    )
    offsets = pa.array(np.arange(len(price) + 1, dtype=np.int32) * price.shape[1])
    return pa.ListArray.from_arrays(offsets, flat, type=LEVELS)
