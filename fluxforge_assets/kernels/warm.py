"""Compiles every kernel for the array types the passes meet, so that no run waits for the compiler."""

from __future__ import annotations

import numpy as np

from fluxforge_assets.kernels import book_pass, groups, trade_bars, trade_pass
from fluxforge_assets.kernels.book_pass import BookChunk, BookParams, Quotes
from fluxforge_assets.kernels.steps import Breaks
from fluxforge_assets.kernels.trade_pass import TradeChunk, TradeParams


def warm() -> None:
    """Run each pass over nothing; the compiled code is cached beside the kernels, or where numba finds room."""
    whole, real, sides = (_frozen(np.empty(0, kind)) for kind in (np.int64, np.float64, np.int8))
    breaks = Breaks(1, whole, whole, whole)
    quotes = Quotes(np.empty(0, np.int64), np.empty(0), np.empty(0))
    books = BookChunk(whole, whole, whole, whole, whole, real, real, whole, whole, real, real)
    params = BookParams(1, 2, 2, 5.0, 1.0, 10.0, has_changes=False, has_resilience=False, has_quotes=False)
    book_pass.pass_books(books, book_pass.fresh_state(2, 1), params, breaks, book_pass.room(0, 2, 1), quotes)
    book_pass.close_bucket(book_pass.fresh_state(2, 1), book_pass.room(1, 2, 1), 0)
    trades = TradeChunk(whole, whole, sides, real, real)
    trade_params = TradeParams(1, 1.0, infers_side=True)
    state, room = trade_pass.fresh_state(), trade_pass.room(1)
    trade_pass.pass_trades(trades, quotes, state, trade_params, breaks, breaks, room)
    trade_pass.close_bucket(state, room, 0)
    starts, out = np.empty(0, np.int64), np.empty(0)
    for merge in (groups.add, groups.minimum, groups.maximum, groups.first, groups.last):
        merge(real, starts, out)
    groups.mean(real, real, starts, out)
    groups.product(real, real, real, real, starts, real, real, out)
    trade_bars.count_bars(whole, 1)
    trade_bars.roll_trades(whole, real, real, sides, 1, starts, starts, np.empty((len(trade_bars.FIELDS), 0)))


def _frozen(values: np.ndarray) -> np.ndarray:
    """Read-only, as events are."""
    values.setflags(write=False)
    return values
