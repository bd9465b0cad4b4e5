"""Bronze-like data of one instrument with everything a feed has ever got wrong, from a seed.

Crossed, locked, one-sided, malformed, repeated and ragged books; sizes and prices of zero, NaN, infinity, below zero
and null; nonces null, constant or used twice; events at the same instant and exactly on bucket edges; quiet spells
just below, at and above max_gap; gap rows of every kind; sides missing or oddly written; trades without books and
books without trades.
"""

import random
from typing import NamedTuple

import polars as pl

START_US = 1_723_160_400_000_000
LEVELS = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))
BOOK = {
    "exchange": pl.String,
    "symbol": pl.String,
    "capture_ts": pl.Int64,
    "timestamp": pl.Int64,
    "nonce": pl.Int64,
    "seq": pl.Int64,
    "bids": LEVELS,
    "asks": LEVELS,
}
TRADE = {
    "exchange": pl.String,
    "symbol": pl.String,
    "capture_ts": pl.Int64,
    "timestamp": pl.Int64,
    "seq": pl.Int64,
    "side": pl.String,
    "price": pl.Float64,
    "amount": pl.Float64,
}
GAP = {
    "exchange": pl.String,
    "symbol": pl.String,
    "channel": pl.String,
    "gap_start": pl.Int64,
    "gap_end": pl.Int64,
}
KEY = {"exchange": "demo", "symbol": "AAA/USD"}
BAD = (0.0, -1.0, float("nan"), float("inf"), float("-inf"), None)
SIDES = ("buy", "sell", "buy", "sell", "buy", "sell", " BUY ", "Sell", "SELL", None, "", "unknown")


class Bronze(NamedTuple):
    """Bronze rows as dicts; `trades` None where that feed is not collected."""

    book: list
    trades: list | None
    gaps: list

    def frames(self):
        """The same as polars frames."""
        return book_frame(self.book), trade_frame(self.trades), gap_frame(self.gaps)

    def without_trades(self):
        return self._replace(trades=None)

    @property
    def end_us(self):
        return max(row["capture_ts"] for row in [*self.book, *(self.trades or [])])


def book_frame(rows):
    def levels(side):
        return None if side is None else [{"price": p, "size": q} for p, q in side]

    table = [
        {**row, "timestamp": row["exchange_ts"], "bids": levels(row["bids"]), "asks": levels(row["asks"])}
        for row in rows
    ]
    return pl.DataFrame({name: [row[name] for row in table] for name in BOOK}, schema=BOOK)


def trade_frame(rows):
    if rows is None:
        return None
    table = [{**row, "timestamp": row["exchange_ts"]} for row in rows]
    return pl.DataFrame({name: [row[name] for row in table] for name in TRADE}, schema=TRADE)


def gap_frame(rows):
    table = [KEY | row for row in rows]
    return pl.DataFrame({name: [row[name] for row in table] for name in GAP}, schema=GAP)


class Market:
    """A book on a tick grid that walks at random; levels keep their sizes until something changes them."""

    def __init__(self, rng, price, tick):
        self.rng, self.tick = rng, tick
        self.bid = round(price / tick)
        self.ask = self.bid + 1
        self.sizes = {}

    def size(self):
        return round(self.rng.lognormvariate(0.5, 1.0) + 0.001, 3)

    def price(self, ticks):
        return round(ticks * self.tick, 8)

    def step(self):
        """Change a few sizes; sometimes move a side."""
        rng = self.rng
        if rng.random() < 0.3:
            move = rng.choice((-2, -1, -1, 1, 1, 2))
            self.bid += move
            self.ask += move
        if rng.random() < 0.2:
            self.ask = self.bid + rng.choice((1, 1, 2, 3, 7))
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            at = rng.choice((self.bid - rng.randrange(12), self.ask + rng.randrange(12)))
            self.sizes[at] = None if rng.random() < 0.2 else self.size()

    def side(self, start, step, depth):
        found, at = [], start
        while len(found) < depth:
            if at not in self.sizes:
                self.sizes[at] = self.size() if self.rng.random() < 0.7 else None
            if self.sizes[at] is not None:
                found.append((self.price(at), self.sizes[at]))
            at += step
        return found

    def book(self, depth):
        rng = self.rng
        shown = [depth + 2 if rng.random() < 0.8 else rng.randrange(1, depth + 2) for _ in range(2)]
        return self.side(self.bid, -1, shown[0]), self.side(self.ask, 1, shown[1])


def spoil(rng, bids, asks, tick):
    """One thing wrong with a snapshot; the sides are new lists."""
    bids, asks = list(bids), list(asks)
    side = rng.choice((bids, asks))
    at = rng.randrange(len(side))
    match rng.choice(("crossed", "locked", "empty", "null", "unsorted", "repeated", "price", "size", "size")):
        case "crossed":
            bids.insert(0, (round(asks[0][0] + tick, 8), 1.0))
        case "locked":
            bids.insert(0, (asks[0][0], 1.0))
        case "empty":
            side.clear()
        case "null":
            return (None, asks) if rng.random() < 0.5 else (bids, None)
        case "unsorted":
            side.reverse()
        case "repeated":
            side.insert(at, (side[at][0], 2.5))
        case "price":
            side[at] = (rng.choice(BAD), side[at][1])
        case "size":
            side[at] = (side[at][0], rng.choice(BAD))
    return bids, asks


def next_time(rng, ts, mean_us, options):
    """The next capture time: mostly exponential, sometimes exactly where a rule turns."""
    step, gap = options.bucket_us, options.max_gap_us
    chance = rng.random()
    if chance < 0.06:
        return ts
    if chance < 0.12:
        return (ts // step + 1) * step
    if chance < 0.15:
        return (ts // step + 1) * step - 1
    if chance < 0.18:
        return ts + rng.randrange(1, 6) * step
    if chance < 0.186:
        return ts + gap + rng.choice((-1, 0, 1, gap // 3))
    return ts + round(rng.expovariate(1 / mean_us))


def dirty(seed, options, *, events=2000, mean_us=400_000, price=100.0, tick=0.01, dirt=0.12, start_us=START_US):
    """Bronze of one instrument: about `events` book events and as many trades, spoilt with probability `dirt`."""
    rng = random.Random(seed)
    market = Market(rng, price, tick)
    book, trades, moments = [], [], []
    ts, nonce = start_us, 1000
    has_books = has_trades = True
    while len(book) < events:
        ts = next_time(rng, ts, mean_us, options)
        moments.append(ts)
        if rng.random() < 0.01:
            has_books, has_trades = rng.choice(((True, True), (True, False), (False, True), (True, True)))
        if has_trades and rng.random() < 0.35:
            trades += [trade(rng, market, ts, dirt) for _ in range(rng.choice((1, 1, 2, 4)))]
        if not has_books and rng.random() < 0.9:
            continue
        market.step()
        bids, asks = market.book(options.depth)
        if rng.random() < dirt:
            bids, asks = spoil(rng, bids, asks, tick)
        nonce += rng.choice((1, 1, 1, 1, 0))
        row = {
            "capture_ts": ts,
            "exchange_ts": None if rng.random() < 0.1 else ts // 1000 - rng.randrange(-20, 80),
            "nonce": None if rng.random() < 0.05 else nonce,
            "bids": bids,
            "asks": asks,
        }
        book.append(row)
        if rng.random() < dirt / 2:
            later = next_time(rng, ts, mean_us, options) if rng.random() < 0.5 else ts
            ts = later
            book.append({**row, "capture_ts": ts})
    book = [KEY | row | {"seq": i} for i, row in enumerate(book)]
    trades.sort(key=lambda row: row["capture_ts"])
    trades = [KEY | row | {"seq": i} for i, row in enumerate(trades)]
    return Bronze(book, trades, [KEY | gap for gap in gap_rows(rng, moments, events // 150 + 1)])


def trade(rng, market, ts, dirt):
    """A trade near the book as it stands, some of them invalid, some a little later than the book."""
    bid, ask = market.bid, market.ask
    at = rng.choice((bid, ask, bid, ask, bid - 1, ask + 2, (bid + ask) / 2, rng.uniform(bid, ask)))
    price, amount = market.price(at), round(rng.lognormvariate(0, 1.2) + 1e-4, 4)
    if rng.random() < dirt / 4:
        price = rng.choice(BAD)
    if rng.random() < dirt / 4:
        amount = rng.choice(BAD)
    ts += rng.choice((0, 0, rng.randrange(200_000)))
    return {
        "capture_ts": ts,
        "exchange_ts": None if rng.random() < 0.1 else ts // 1000 - rng.randrange(60),
        "side": rng.choice(SIDES),
        "price": price,
        "amount": amount,
    }


def gap_rows(rng, moments, count):
    """Gap rows between events, around them, at them, and markers."""
    rows = []
    for _ in range(count):
        at = rng.randrange(len(moments) - 1)
        start, end = moments[at], moments[at + 1]
        match rng.choice(("exact", "marker", "marker inside", "long", "loose")):
            case "marker":
                end = start
            case "marker inside":
                start = end = rng.randint(start, end)
            case "long":
                end = moments[min(at + rng.randrange(2, 8), len(moments) - 1)]
            case "loose":
                start = rng.randint(start, end)
        channel = rng.choice(("book", "orderbook", "trade", "trades", "all"))
        rows.append({"channel": channel, "gap_start": start, "gap_end": end})
    return rows
