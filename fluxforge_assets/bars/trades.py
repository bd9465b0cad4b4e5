"""Bars straight from trades: opens, highs, lows, closes, volumes. For those who have trades and no books."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from fluxforge_assets.bars.columns import KEY
from fluxforge_assets.features.events import (
    TRADE_COLUMNS,
    Frame,
    as_table,
    in_order,
    instrument_of,
    require_columns,
    trade_chunk,
)
from fluxforge_assets.features.frames import empty_frame, frame_of
from fluxforge_assets.kernels.trade_bars import FIELDS, count_bars, roll_trades
from fluxforge_assets.kernels.trade_pass import TradeChunk
from fluxforge_assets.tables import Column, Dtype, Kind
from fluxforge_collector.errors import DataError

_MEANINGS = {
    "open": ("px", "First price."),
    "high": ("px", "Highest price."),
    "low": ("px", "Lowest price."),
    "close": ("px", "Last price."),
    "volume": ("base", "Amount traded."),
    "value": ("quote", "Value traded: Σ price · amount."),
    "buy_volume": ("base", "Amount taken by buyers."),
}


def trade_bar_columns() -> tuple[Column, ...]:
    """The columns of bars made from trades alone, in order."""
    values = tuple(
        Column(name, Dtype.F64, "bar", Kind.BAR, unit, "never", meaning) for name, (unit, meaning) in _MEANINGS.items()
    )
    return (*KEY, *values, Column("count", Dtype.U32, "bar", Kind.BAR, "count", "never", "Trades."))


def trade_bars(trades: Frame, durations: Sequence[float]) -> pl.DataFrame:
    """Bars of one instrument from its trades; a bar without trades has no row.

    Args:
        trades: bronze rows of trades; one whose price or amount is not a positive number is left out.
        durations: lengths of bars, s.

    Returns: a row per (bar_us, ts) in the columns of `trade_bar_columns()`; `ts` is the bar's end, µs, and a trade on
    an edge belongs to the later bar. Durations one after the other, each ascending.

    Raises: DataError where the rows are no trades of one instrument, or a duration is no positive whole number of µs.
    """
    table = as_table(trades, "trades")
    require_columns(table, TRADE_COLUMNS, "trades")
    spans = [_whole_us(duration) for duration in durations]
    if not len(table) or not spans:
        return empty_frame(trade_bar_columns())
    batch = in_order(table, "trades").combine_chunks().to_batches()[0]
    names = dict(zip(("exchange", "symbol"), instrument_of(batch, "trades"), strict=True))
    chunk = _valid(trade_chunk(batch))
    return pl.concat(frame for us in spans for frame in _bars(chunk, us, names))


def _bars(trades: TradeChunk, duration: int, names: dict[str, str]) -> Iterator[pl.DataFrame]:
    """The bars of one duration."""
    n = count_bars(trades.ts, duration)
    ends, counts, values = np.empty(n, np.int64), np.empty(n, np.int64), np.empty((len(FIELDS), n))
    roll_trades(trades.ts, trades.price, trades.amount, trades.sign, duration, ends, counts, values)
    found: dict[str, Any] = {key: pl.repeat(name, n, dtype=pl.String, eager=True) for key, name in names.items()}
    found |= {"ts": ends, "bar_us": np.full(n, duration), "count": counts}
    yield frame_of(trade_bar_columns(), found | dict(zip(FIELDS, values, strict=True)))


def _valid(trades: TradeChunk) -> TradeChunk:
    """The trades that have a price and an amount, as the catalogue's section 2.7 has them."""
    is_valid = (trades.price > 0) & (trades.amount > 0) & np.isfinite(trades.price) & np.isfinite(trades.amount)
    if is_valid.all():
        return trades
    kept = TradeChunk._make(column[is_valid] for column in trades)
    for column in kept:
        column.setflags(write=False)
    return kept


def _whole_us(seconds: float) -> int:
    us = round(seconds * 1e6)
    if us <= 0 or abs(us - seconds * 1e6) > 1e-3:
        raise DataError(f"a bar of {seconds:g} s", "name durations of a positive whole number of microseconds")
    return us
