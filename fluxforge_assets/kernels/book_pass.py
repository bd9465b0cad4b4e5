"""One pass over the book events of an instrument: cleaning, classes, pairs, statistics of each bucket.

Formula:  catalogue 2.3-2.6 and 5; statistics of families G and H but for the products of bucket returns.
Shapes:   n events with flat levels; M levels kept a side; K ranks of order flow; one column a closed bucket.
Edges:    a bucket opens with its first event of any class and closes with the first event of a later bucket, so the
          last one stays open in the state: cutting the events anywhere changes nothing, bit for bit.
Source:   Cont, Kukanov & Stoikov (2014) for the flow; Chan, Golub & LeVeque (1983) for the moments.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fluxforge_assets.kernels.compiled import compiled
from fluxforge_assets.kernels.sides import changes, is_equal, keep, near, rank_flow, top_totals, total
from fluxforge_assets.kernels.steps import Breaks, is_broken

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

MISSING = np.iinfo(np.int64).min
"""Stands for a null nonce or exchange time."""

FIELDS = (
    "n_book", "n_pair", "n_break", "n_book_crossed", "n_book_locked", "n_book_onesided", "n_book_malformed",
    "n_book_dup", "mid_first", "mid_min", "mid_max", "spread_bps_mean", "spread_bps_m2", "spread_bps_min",
    "spread_bps_max", "imb_l0_mean", "imb_l0_m2", "imb_top_mean", "imb_top_m2", "micro_dev_bps_mean",
    "micro_dev_bps_m2", "depth_near_mean", "depth_near_m2", "depth_l0_mean", "depth_lk_mean", "lag_n", "lag_ms_mean",
    "lag_ms_m2", "lag_ms_min", "lag_ms_max", "pair_us", "log_ret", "tick_rv", "n_mid_up", "n_mid_dn", "of_bid_l0",
    "of_ask_l0", "ofi_abs_l0", "bid_add", "bid_rem", "ask_add", "ask_rem", "tw_spread", "tw_imb", "tight_us",
    "wide_us", "rs_mx", "rs_m2x", "rs_my", "rs_cxy", "rd_mx", "rd_m2x", "rd_my", "rd_cxy", "lag_ms",
)  # fmt: skip
"""Accumulated numbers of a bucket, in the order of the rows of `Closed.values`."""

(
    N_BOOK, N_PAIR, N_BREAK, CROSSED, LOCKED, ONESIDED, MALFORMED, DUP, MID_FIRST, MID_MIN, MID_MAX, SPREAD,
    SPREAD_M2, SPREAD_MIN, SPREAD_MAX, IMB, IMB_M2, IMB_TOP, IMB_TOP_M2, MICRO, MICRO_M2, NEAR, NEAR_M2, DEPTH_L0,
    DEPTH_LK, LAG_N, LAG, LAG_M2, LAG_MIN, LAG_MAX, PAIR_US, LOG_RET, TICK_RV, MID_UP, MID_DN, OF_BID, OF_ASK,
    OFI_ABS, BID_ADD, BID_REM, ASK_ADD, ASK_REM, TW_SPREAD, TW_IMB, TIGHT_US, WIDE_US, RS_MX, RS_M2X, RS_MY, RS_CXY,
    RD_MX, RD_M2X, RD_MY, RD_CXY, LAST_LAG,
) = range(len(FIELDS))  # fmt: skip

# Whole numbers of the state: the open bucket (or MISSING), which of the three kept books is the last event's and which
# the last valid one's (−1: none), their times, the last nonce, when the mid moved last.
OPEN, LAST, VALID, LAST_TS, LAST_NONCE, VALID_TS, MOVED_TS = range(7)

# What is remembered of the last valid book.
HELD_SUM, HELD_SPREAD, HELD_IMB, HELD_DEPTH = range(4)


class BookParams(NamedTuple):
    """The options a pass needs; bps in bps, times in µs."""

    bucket_us: int
    levels: int
    top: int
    near_bps: float
    tight_bps: float
    wide_bps: float
    has_changes: bool
    has_resilience: bool
    has_quotes: bool


class BookState(NamedTuple):
    """What one chunk hands to the next. `books` holds three kept books: (3, 4, M), see `Closed`."""

    whole: Int64Array
    books: Float64Array
    counts: Int64Array
    held: Float64Array
    open: Float64Array
    flow: Float64Array
    ranks: Float64Array


class BookChunk(NamedTuple):
    """Events of a chunk: µs, nonce, exchange ms, and of each side first and last level into flat prices and sizes."""

    ts: Int64Array
    nonce: Int64Array
    exchange_ms: Int64Array
    bid_start: Int64Array
    bid_stop: Int64Array
    bid_price: Float64Array
    bid_size: Float64Array
    ask_start: Int64Array
    ask_stop: Int64Array
    ask_price: Float64Array
    ask_size: Float64Array


class Quotes(NamedTuple):
    """Best prices of valid books, ascending in time."""

    ts: Int64Array
    bid: Float64Array
    ask: Float64Array


class Closed(NamedTuple):
    """Closed buckets, the last axis of every array; times are of the last valid event so far."""

    bucket: Int64Array
    values: Float64Array
    flow: Float64Array
    books: Float64Array
    counts: Int64Array
    valid_ts: Int64Array
    moved_ts: Int64Array


def fresh_state(levels_kept: int, ranks: int) -> BookState:
    """The state before the first event."""
    whole = np.full(7, MISSING, np.int64)
    whole[LAST] = whole[VALID] = -1
    return BookState(
        whole,
        np.zeros((3, 4, levels_kept)),
        np.zeros((3, 2), np.int64),
        np.zeros(4),
        np.zeros(len(FIELDS)),
        np.zeros(ranks),
        np.zeros((2, ranks)),
    )


def room(buckets: int, levels_kept: int, ranks: int) -> Closed:
    """Empty arrays for at most so many closed buckets."""
    return Closed(
        np.empty(buckets, np.int64),
        np.empty((len(FIELDS), buckets)),
        np.empty((ranks, buckets)),
        np.empty((4, levels_kept, buckets)),
        np.empty((2, buckets), np.int64),
        np.empty(buckets, np.int64),
        np.empty(buckets, np.int64),
    )


@compiled
def _accumulate(values: Float64Array, mean: int, square: int, x: float, share: float) -> None:
    """Add `x` to a running mean and sum of squared deviations; `share` is 1/n with it counted."""
    deviation = x - values[mean]
    values[mean] += deviation * share
    values[square] += deviation * (x - values[mean])


@compiled
def _accumulate_pair(values: Float64Array, first: int, x: float, y: float, share: float) -> None:
    """Add (x, y) to mean x, m2 x, mean y, co-moment, which start at `first`."""
    dx = x - values[first]
    values[first] += dx * share
    values[first + 1] += dx * (x - values[first])
    values[first + 2] += (y - values[first + 2]) * share
    values[first + 3] += dx * (y - values[first + 2])


@compiled
def close_bucket(state: BookState, out: Closed, column: int) -> None:
    """Write the open bucket to `column` and forget it."""
    whole = state.whole
    out.bucket[column] = whole[OPEN]
    out.valid_ts[column] = whole[VALID_TS]
    out.moved_ts[column] = whole[MOVED_TS]
    for i in range(len(state.open)):
        out.values[i, column] = state.open[i]
        state.open[i] = 0.0
    for i in range(len(state.flow)):
        out.flow[i, column] = state.flow[i]
        state.flow[i] = 0.0
    has_book = out.values[N_BOOK, column] > 0.0
    for side in range(2):
        count = state.counts[whole[VALID], side] if has_book else 0
        out.counts[side, column] = count
        for part in range(2 * side, 2 * side + 2):
            kept = state.books[whole[VALID], part]
            for level in range(len(kept)):
                out.books[part, level, column] = kept[level] if level < count else np.nan
    whole[OPEN] = MISSING


@compiled
def _observe(
    state: BookState, params: BookParams, spread: float, mid: float, imbalance: float, depth_l0: float
) -> None:
    """Add the valid book just kept to the moments of its bucket (family G but latency)."""
    values = state.open
    valid = state.whole[VALID]
    book = state.books[valid]
    bids, asks = state.counts[valid, 0], state.counts[valid, 1]
    values[N_BOOK] += 1.0
    share = 1.0 / values[N_BOOK]
    if values[N_BOOK] == 1.0:
        values[MID_FIRST] = values[MID_MIN] = values[MID_MAX] = mid
        values[SPREAD_MIN] = values[SPREAD_MAX] = spread
    values[MID_MIN] = min(values[MID_MIN], mid)
    values[MID_MAX] = max(values[MID_MAX], mid)
    values[SPREAD_MIN] = min(values[SPREAD_MIN], spread)
    values[SPREAD_MAX] = max(values[SPREAD_MAX], spread)
    _accumulate(values, SPREAD, SPREAD_M2, spread, share)
    _accumulate(values, IMB, IMB_M2, imbalance, share)
    ranks = len(state.flow)
    bid_top, ask_top, depth = top_totals(book[1], bids, book[3], asks, params.top, ranks)
    _accumulate(values, IMB_TOP, IMB_TOP_M2, (bid_top - ask_top) / (bid_top + ask_top), share)
    # 10⁴(microprice − m)/m without its cancellation.
    _accumulate(values, MICRO, MICRO_M2, imbalance * spread / 2.0, share)
    reach = mid * (params.near_bps - 1e-6) * 1e-4
    close_by = near(book[0], book[1], bids, mid - reach, 1.0) + near(book[2], book[3], asks, mid + reach, -1.0)
    _accumulate(values, NEAR, NEAR_M2, close_by, share)
    values[DEPTH_L0] += (depth_l0 - values[DEPTH_L0]) * share
    values[DEPTH_LK] += (depth / (2.0 * ranks) - values[DEPTH_LK]) * share


@compiled
def _pair(state: BookState, params: BookParams, old: int, new: int, dt: int, both: float) -> None:
    """Add the pair of kept books `old` → `new` to the flows of its bucket (family H but resiliency)."""
    values, held = state.open, state.held
    before, after = state.books[old], state.books[new]
    bids, asks = state.counts[new, 0], state.counts[new, 1]
    old_bids, old_asks = state.counts[old, 0], state.counts[old, 1]
    values[N_PAIR] += 1.0
    values[PAIR_US] += dt
    if both != held[HELD_SUM]:
        log_return = math.log(both / held[HELD_SUM])
        values[LOG_RET] += log_return
        values[TICK_RV] += log_return * log_return
        values[MID_UP if both > held[HELD_SUM] else MID_DN] += 1.0
    bid_flow, ask_flow = state.ranks[0], state.ranks[1]
    rank_flow(after[0], after[1], bids, before[0], before[1], old_bids, 1.0, bid_flow)
    rank_flow(after[2], after[3], asks, before[2], before[3], old_asks, -1.0, ask_flow)
    for k in range(len(state.flow)):
        state.flow[k] += bid_flow[k] - ask_flow[k]
    values[OF_BID] += bid_flow[0]
    values[OF_ASK] += ask_flow[0]
    values[OFI_ABS] += abs(bid_flow[0] - ask_flow[0])
    values[TW_SPREAD] += dt * held[HELD_SPREAD]
    values[TW_IMB] += dt * held[HELD_IMB]
    if held[HELD_SPREAD] <= params.tight_bps + 1e-6:
        values[TIGHT_US] += dt
    if held[HELD_SPREAD] >= params.wide_bps - 1e-6:
        values[WIDE_US] += dt
    if params.has_changes:
        added, removed = changes(after[0], after[1], bids, before[0], before[1], old_bids, 1.0)
        values[BID_ADD] += added
        values[BID_REM] += removed
        added, removed = changes(after[2], after[3], asks, before[2], before[3], old_asks, -1.0)
        values[ASK_ADD] += added
        values[ASK_REM] += removed


@compiled
def _take_valid(state: BookState, params: BookParams, breaks: Breaks, new: int, ts: int) -> None:
    """Make kept book `new`, valid, the last valid one: moments of the event, flows of its pair."""
    whole, held, values = state.whole, state.held, state.open
    book = state.books[new]
    both = book[0, 0] + book[2, 0]
    mid = both / 2.0
    spread = 1e4 * (book[2, 0] - book[0, 0]) / mid
    best = book[1, 0] + book[3, 0]
    imbalance = (book[1, 0] - book[3, 0]) / best
    depth = 0.0
    if params.has_resilience:
        depth = total(book[1], min(state.counts[new, 0], params.levels))
        depth += total(book[3], min(state.counts[new, 1], params.levels))
    old = whole[VALID]
    if old >= 0 and not is_broken(whole[VALID_TS], ts, breaks):
        _pair(state, params, old, new, ts - whole[VALID_TS], both)
        if both != held[HELD_SUM]:
            whole[MOVED_TS] = ts
        if params.has_resilience:
            share = 1.0 / values[N_PAIR]
            _accumulate_pair(values, RS_MX, held[HELD_SPREAD], spread - held[HELD_SPREAD], share)
            _accumulate_pair(values, RD_MX, held[HELD_DEPTH], depth - held[HELD_DEPTH], share)
    else:
        values[N_BREAK] += 1.0
        whole[MOVED_TS] = ts
    whole[VALID], whole[VALID_TS] = new, ts
    held[HELD_SUM], held[HELD_SPREAD], held[HELD_IMB], held[HELD_DEPTH] = both, spread, imbalance, depth
    _observe(state, params, spread, mid, imbalance, best / 2.0)


@compiled
def _is_repeat(state: BookState, new: int, nonce: int) -> bool:
    """Whether kept book `new` has the nonce and the levels of the event before it."""
    last = state.whole[LAST]
    if last < 0 or nonce == MISSING or nonce != state.whole[LAST_NONCE]:
        return False
    for side in range(2):
        count = state.counts[new, side]
        if count != state.counts[last, side]:
            return False
        for part in range(2 * side, 2 * side + 2):
            if not is_equal(state.books[new, part], state.books[last, part], count):
                return False
    return True


@compiled
def _take_lag(values: Float64Array, ts: int, exchange_ms: int) -> None:
    """Add the latency of the valid event at `ts`, if the exchange gave a time."""
    values[LAST_LAG] = math.nan
    if exchange_ms == MISSING:
        return
    lag_ms = (ts - 1000 * exchange_ms) / 1000.0
    values[LAST_LAG] = lag_ms
    values[LAG_N] += 1.0
    if values[LAG_N] == 1.0:
        values[LAG_MIN] = values[LAG_MAX] = lag_ms
    values[LAG_MIN] = min(values[LAG_MIN], lag_ms)
    values[LAG_MAX] = max(values[LAG_MAX], lag_ms)
    _accumulate(values, LAG, LAG_M2, lag_ms, 1.0 / values[LAG_N])


@compiled
def pass_books(
    chunk: BookChunk, state: BookState, params: BookParams, breaks: Breaks, out: Closed, quotes: Quotes
) -> tuple[int, int]:
    """Take the events of a chunk, in order. Returns how many buckets closed and how many quotes were written."""
    whole, books, counts, values = state.whole, state.books, state.counts, state.open
    column = quoted = 0
    for i in range(len(chunk.ts)):
        ts = chunk.ts[i]
        if whole[OPEN] == MISSING or not 0 <= ts - whole[OPEN] * params.bucket_us < params.bucket_us:
            if whole[OPEN] != MISSING:
                close_bucket(state, out, column)
                column += 1
            whole[OPEN] = ts // params.bucket_us
        last = whole[LAST]
        new = 0
        while new in (last, whole[VALID]):
            new += 1
        book = books[new]
        levels = slice(chunk.bid_start[i], chunk.bid_stop[i])
        bids, bids_ordered = keep(chunk.bid_price[levels], chunk.bid_size[levels], book[0], book[1], 1.0)
        levels = slice(chunk.ask_start[i], chunk.ask_stop[i])
        asks, asks_ordered = keep(chunk.ask_price[levels], chunk.ask_size[levels], book[2], book[3], -1.0)
        counts[new, 0], counts[new, 1] = bids, asks
        is_duplicate = _is_repeat(state, new, chunk.nonce[i]) and not is_broken(whole[LAST_TS], ts, breaks)
        whole[LAST_TS], whole[LAST_NONCE] = ts, chunk.nonce[i]
        if is_duplicate:
            values[DUP] += 1.0
            continue
        whole[LAST] = new
        if not (bids_ordered and asks_ordered):
            values[MALFORMED] += 1.0
        elif bids == 0 or asks == 0:
            values[ONESIDED] += 1.0
        elif book[0, 0] > book[2, 0]:
            values[CROSSED] += 1.0
        elif book[0, 0] == book[2, 0]:
            values[LOCKED] += 1.0
        else:
            _take_valid(state, params, breaks, new, ts)
            _take_lag(values, ts, chunk.exchange_ms[i])
            if params.has_quotes:
                quotes.ts[quoted] = ts
                quotes.bid[quoted] = book[0, 0]
                quotes.ask[quoted] = book[2, 0]
                quoted += 1
    return column, quoted
