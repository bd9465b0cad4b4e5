"""Input events: order, cleaning, classes, duplicates, broken steps, prevailing books, signs (catalogue 2)."""

import itertools
from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite, log

from support.twin.names import BPS

BOOK_CHANNELS = ("book", "orderbook", "all")
TRADE_CHANNELS = ("trade", "trades", "all")


@dataclass(eq=False)
class Book:
    """A book event after cleaning; `before` is its pair predecessor, if it has one."""

    ts: int
    exchange_ms: int | None
    nonce: int | None
    bids: list
    asks: list
    kind: str = "valid"
    before: "Book | None" = None
    memo: dict = field(default_factory=dict)

    @property
    def mid(self):
        return (self.bids[0][0] + self.asks[0][0]) / 2

    @property
    def lag_ms(self):
        return None if self.exchange_ms is None else (self.ts - 1000 * self.exchange_ms) / 1000


@dataclass(eq=False)
class Trade:
    """A trade; `prevailing` is its book (2.7), `before` its pair predecessor (2.6)."""

    ts: int
    exchange_ms: int | None
    side: str | None
    price: float
    amount: float
    valid: bool = True
    sign: int = 0
    inferred: bool = False
    effective_spread: float | None = None
    through: bool = False
    prevailing: Book | None = None
    before: "Trade | None" = None

    @property
    def lag_ms(self):
        return None if self.exchange_ms is None else (self.ts - 1000 * self.exchange_ms) / 1000

    @property
    def log_change(self):
        return log(self.price / self.before.price)


def ordered(rows):
    """2.2: ascending (capture_ts, seq)."""
    return sorted(rows, key=lambda row: (row["capture_ts"], row["seq"]))


def clean(side, depth):
    """2.3: drop levels with a null, NaN, infinite or non-positive price or size; keep the first M."""
    kept = [
        (price, size)
        for price, size in side or ()
        if price is not None and size is not None and isfinite(price) and isfinite(size) and price > 0 and size > 0
    ]
    return kept[:depth]


def classify(bids, asks):
    """2.4, first match wins."""
    if any(q[0] >= p[0] for p, q in itertools.pairwise(bids)):
        return "malformed"
    if any(q[0] <= p[0] for p, q in itertools.pairwise(asks)):
        return "malformed"
    if not bids or not asks:
        return "onesided"
    if bids[0][0] > asks[0][0]:
        return "crossed"
    return "locked" if bids[0][0] == asks[0][0] else "valid"


class Steps:
    """2.6: which steps of a channel are broken."""

    def __init__(self, gaps, channels, max_gap_us):
        self.max_gap_us = max_gap_us
        self.gaps = [(g["gap_start"], g["gap_end"]) for g in gaps if g["channel"] in channels]

    def broken(self, t1, t2):
        if t2 - t1 > self.max_gap_us:
            return True
        for start, end in self.gaps:
            if start < end:
                if t1 < end and t2 > start:
                    return True
            elif t1 < start <= t2:
                return True
        return False


def read_books(rows, steps, depth):
    """All book events in order, classified, duplicates found, pairs linked."""
    events = []
    previous = None
    last_valid = None
    for row in ordered(rows):
        book = Book(
            row["capture_ts"], row["exchange_ts"], row["nonce"], clean(row["bids"], depth), clean(row["asks"], depth)
        )
        book.kind = classify(book.bids, book.asks)
        if (
            previous is not None
            and book.nonce is not None
            and book.nonce == previous.nonce
            and book.bids == previous.bids
            and book.asks == previous.asks
            and not steps.broken(previous.ts, book.ts)
        ):
            book.kind = "dup"
        if book.kind == "valid":
            if last_valid is not None and not steps.broken(last_valid.ts, book.ts):
                book.before = last_valid
            last_valid = book
        previous = book
        events.append(book)
    return events


def read_trades(rows, steps, book_steps, valid_books, options):
    """All trades in order: validity, prevailing book, sign, effective spread, pairs (2.7, 2.8)."""
    times = [book.ts for book in valid_books]
    trades = []
    last_valid = None
    for row in ordered(rows):
        trade = Trade(row["capture_ts"], row["exchange_ts"], row["side"], row["price"], row["amount"])
        trades.append(trade)
        trade.valid = all(x is not None and isfinite(x) and x > 0 for x in (trade.price, trade.amount))
        if not trade.valid:
            continue
        at = bisect_left(times, trade.ts)
        if at and not book_steps.broken(times[at - 1], trade.ts):
            trade.prevailing = valid_books[at - 1]
        _sign(trade, options)
        if last_valid is not None and not steps.broken(last_valid.ts, trade.ts):
            trade.before = last_valid
        last_valid = trade
    return trades


def _sign(trade, options):
    """2.8: the sign and what depends on it."""
    reported = {"buy": 1, "sell": -1}.get((trade.side or "").strip().lower(), 0)
    trade.sign = reported
    book = trade.prevailing
    if book is None:
        return
    mid = book.mid
    if reported:
        trade.effective_spread = 2 * reported * (trade.price - mid) / mid * BPS
        trade.through = trade.price > book.asks[0][0] if reported > 0 else trade.price < book.bids[0][0]
    elif options.side_fallback == "quote" and abs(trade.price - mid) > 1e-9 * mid:
        trade.sign = 1 if trade.price > mid else -1
        trade.inferred = True
