"""One pass over the trades of an instrument: signs by the prevailing book, trade pairs, statistics of each bucket.

Formula:  catalogue 2.7, 2.8; statistics of family I.
Shapes:   n trades; q quotes (best prices of valid books, ascending in time); one column a closed bucket.
Edges:    a book of the trade's own instant does not prevail; the last bucket stays open in the state, and quotes must
          reach every trade: those before the chunk's first trade may be dropped but for the last one.
Source:   Lee & Ready (1991) for the quote rule, Roll (1984), Huang & Stoll (1996).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.book_pass import MISSING, Quotes
from fluxforge_assets.kernels.compiled import compiled
from fluxforge_assets.kernels.steps import Breaks, is_broken

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Int8Array = npt.NDArray[np.int8]

FIELDS = (
    "n_trade_invalid", "n_trade", "n_buy", "n_sell", "n_unsigned", "n_inferred", "vol", "buy_vol", "sell_vol", "qvol",
    "buy_qvol", "sell_qvol", "vol_sq", "max_qvol", "large_qvol", "trade_first", "trade_high", "trade_low",
    "trade_last", "es_n", "es_vol", "es_wsum", "through_n", "through_vol", "sign_n", "sign_sum", "roll_n", "roll_sum",
    "dur_n", "dur_mean", "dur_m2", "trade_lag_n", "trade_lag_sum",
)  # fmt: skip
"""Accumulated numbers of a bucket, in the order of the rows of `Closed.values`."""

(
    INVALID, N_TRADE, N_BUY, N_SELL, N_UNSIGNED, N_INFERRED, VOL, BUY_VOL, SELL_VOL, QVOL, BUY_QVOL, SELL_QVOL,
    VOL_SQ, MAX_QVOL, LARGE_QVOL, FIRST, HIGH, LOW, LAST, ES_N, ES_VOL, ES_WSUM, THROUGH_N, THROUGH_VOL, SIGN_N,
    SIGN_SUM, ROLL_N, ROLL_SUM, DUR_N, DUR_MEAN, DUR_M2, LAG_N, LAG_SUM,
) = range(len(FIELDS))  # fmt: skip

# Whole numbers of the state: the open bucket, the last valid trade's time and sign, whether it had a predecessor.
OPEN, LAST_TS, LAST_SIGN, LAST_PAIRED = range(4)
# Other numbers of the state: the last valid trade's price and log-change.
LAST_PRICE, LAST_CHANGE = range(2)


class TradeParams(NamedTuple):
    """The options a pass needs: µs, quote units, whether the quote rule signs trades without a side."""

    bucket_us: int
    large: float
    infers_side: bool


class TradeState(NamedTuple):
    """What one chunk hands to the next."""

    whole: Int64Array
    held: Float64Array
    open: Float64Array


class TradeChunk(NamedTuple):
    """Trades of a chunk: µs, exchange ms, reported sign (0: none), price, amount."""

    ts: Int64Array
    exchange_ms: Int64Array
    sign: Int8Array
    price: Float64Array
    amount: Float64Array


class Closed(NamedTuple):
    """Closed buckets, the last axis of every array; `last_ts` is the time of the last valid trade so far."""

    bucket: Int64Array
    values: Float64Array
    last_ts: Int64Array


def fresh_state() -> TradeState:
    """The state before the first trade."""
    return TradeState(np.full(4, MISSING, np.int64), np.zeros(2), np.zeros(len(FIELDS)))


def room(buckets: int) -> Closed:
    """Empty arrays for at most so many closed buckets."""
    return Closed(np.empty(buckets, np.int64), np.empty((len(FIELDS), buckets)), np.empty(buckets, np.int64))


@compiled
def close_bucket(state: TradeState, out: Closed, column: int) -> None:
    """Write the open bucket to `column` and forget it."""
    out.bucket[column] = state.whole[OPEN]
    out.last_ts[column] = state.whole[LAST_TS]
    for i in range(len(state.open)):
        out.values[i, column] = state.open[i]
        state.open[i] = 0.0
    if out.values[N_TRADE, column] == 0.0:
        for i in (FIRST, HIGH, LOW, LAST):
            out.values[i, column] = np.nan
    state.whole[OPEN] = MISSING


@compiled
def _infer(price: float, mid: float) -> int:
    """Sign by the quote rule; 0 at the mid."""
    if abs(price - mid) <= 1e-9 * mid:
        return 0
    return 1 if price > mid else -1


@compiled
def _compare(values: Float64Array, sign: int, price: float, amount: float, bid: float, ask: float) -> None:
    """Add a trade of reported side to effective spreads and trade-throughs."""
    mid = (bid + ask) / 2.0
    values[ES_N] += 1.0
    values[ES_VOL] += amount
    values[ES_WSUM] += amount * (2.0 * sign * (price - mid) / mid * 1e4)
    is_through = price > ask if sign > 0 else price < bid
    if is_through:
        values[THROUGH_N] += 1.0
        values[THROUGH_VOL] += amount


@compiled
def _count(values: Float64Array, sign: int, price: float, amount: float, large: float) -> None:
    """Add a valid trade of known sign to counts, volumes and prices."""
    value = price * amount
    if values[N_TRADE] == 0.0:
        values[FIRST] = values[HIGH] = values[LOW] = price
    values[N_TRADE] += 1.0
    values[VOL] += amount
    values[QVOL] += value
    values[VOL_SQ] += amount * amount
    values[MAX_QVOL] = max(values[MAX_QVOL], value)
    if value >= large * (1.0 - 1e-9):
        values[LARGE_QVOL] += value
    values[HIGH] = max(values[HIGH], price)
    values[LOW] = min(values[LOW], price)
    values[LAST] = price
    if sign > 0:
        values[N_BUY] += 1.0
        values[BUY_VOL] += amount
        values[BUY_QVOL] += value
    elif sign < 0:
        values[N_SELL] += 1.0
        values[SELL_VOL] += amount
        values[SELL_QVOL] += value
    else:
        values[N_UNSIGNED] += 1.0


@compiled
def _pair(state: TradeState, breaks: Breaks, ts: int, sign: int, price: float) -> None:
    """Add the step from the last valid trade to this one, if unbroken, and remember this one."""
    whole, held, values = state.whole, state.held, state.open
    is_paired = whole[LAST_TS] != MISSING and not is_broken(whole[LAST_TS], ts, breaks)
    change = 0.0
    if is_paired:
        change = math.log(price / held[LAST_PRICE])
        seconds = (ts - whole[LAST_TS]) / 1e6
        values[DUR_N] += 1.0
        deviation = seconds - values[DUR_MEAN]
        values[DUR_MEAN] += deviation / values[DUR_N]
        values[DUR_M2] += deviation * (seconds - values[DUR_MEAN])
        if sign * whole[LAST_SIGN] != 0:
            values[SIGN_N] += 1.0
            values[SIGN_SUM] += sign * whole[LAST_SIGN]
        if whole[LAST_PAIRED] == 1:
            values[ROLL_N] += 1.0
            values[ROLL_SUM] += change * held[LAST_CHANGE]
    whole[LAST_TS], whole[LAST_SIGN], whole[LAST_PAIRED] = ts, sign, 1 if is_paired else 0
    held[LAST_PRICE], held[LAST_CHANGE] = price, change


@compiled
def pass_trades(
    chunk: TradeChunk,
    quotes: Quotes,
    state: TradeState,
    params: TradeParams,
    trade_breaks: Breaks,
    book_breaks: Breaks,
    out: Closed,
) -> int:
    """Take the trades of a chunk, in order. Returns how many buckets closed."""
    whole, values = state.whole, state.open
    column = 0
    after = 0  # quotes before this index are strictly earlier than the trade
    for i in range(len(chunk.ts)):
        ts, price, amount = chunk.ts[i], chunk.price[i], chunk.amount[i]
        bucket = ts // params.bucket_us
        if bucket != whole[OPEN]:
            if whole[OPEN] != MISSING:
                close_bucket(state, out, column)
                column += 1
            whole[OPEN] = bucket
        if not (0.0 < price < math.inf and 0.0 < amount < math.inf):
            values[INVALID] += 1.0
            continue
        while after < len(quotes.ts) and quotes.ts[after] < ts:
            after += 1
        has_quote = after > 0 and not is_broken(quotes.ts[after - 1], ts, book_breaks)
        sign = int(chunk.sign[i])
        if has_quote:
            bid, ask = quotes.bid[after - 1], quotes.ask[after - 1]
            if sign != 0:
                _compare(values, sign, price, amount, bid, ask)
            elif params.infers_side:
                sign = _infer(price, (bid + ask) / 2.0)
                values[N_INFERRED] += abs(sign)
        _count(values, sign, price, amount, params.large)
        _pair(state, trade_breaks, ts, sign, price)
        if chunk.exchange_ms[i] != MISSING:
            values[LAG_N] += 1.0
            values[LAG_SUM] += (ts - 1000 * chunk.exchange_ms[i]) / 1000.0
    return column
