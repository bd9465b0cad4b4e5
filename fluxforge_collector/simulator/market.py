"""The stochastic market: correlated fair prices, self-exciting activity, and the order flow of each book.

Model: log fair prices share one factor and have heavy-tailed increments whose variance follows the activity; activity
is a Hawkes process fed by trades; takers arrive with it, lean towards the fair price and keep their sign for a while;
makers quote around the fair price, withdraw stale quotes late, and fill the depth with a power law of distance.
Everything is drawn from one seed, in simulated time: the same seed gives the same market at any speed.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import NamedTuple

from fluxforge_collector.simulator.book import Book, Side
from fluxforge_collector.simulator.listing import Listing

SLICE_US = 20_000
_SLICE_S = SLICE_US / 1e6
_SIGMA = 1.1e-4  # standard deviation of a log return over one second of usual activity
_FACTOR_SHARE = 0.9  # of a base's increments; two bases correlate by its square
_MEMORY_S = 1.2  # how long a trade excites others
_BRANCHING = 0.8  # trades each trade brings about; 1 would explode
_DECAY = math.exp(-_SLICE_S / _MEMORY_S)
_LEVELS = 220  # usual levels a side
_MAX_LEVELS = 400


class Trade(NamedTuple):
    """One fill; `is_buy` is the taker's side."""

    trade_id: int
    price: int
    size: int
    is_buy: bool


class Fair:
    """The fair price and activity of one base asset, common to all exchanges; activity is 1 on average."""

    def __init__(self, price: float, trades_per_s: float) -> None:
        self.price = price
        self.activity = 1.0
        self.excitement = _BRANCHING / (_MEMORY_S * trades_per_s)


class BookFlow:
    """One exchange's book of one instrument and the flow of orders that moves it."""

    def __init__(
        self, listing: Listing, fair: Fair, rng: random.Random, spread_factor: float, far_levels: int = 0
    ) -> None:
        self.listing = listing
        self.fair = fair
        self.rng = rng
        self.half_spread = listing.half_spread_bps * 1e-4 * spread_factor
        self.book = Book(rng.randrange(10**9, 10**10))
        self.trade_id = rng.randrange(10**8, 10**9)
        self.trades: list[Trade] = []
        self.premium = 0.0
        self.lean = 0.0
        self.tick = 10.0**-listing.price_digits
        self.lot = 10.0**-listing.size_digits
        self.last = self.open = self.high = self.low = self._ticks(fair.price)
        self.volume = 0
        self._far_levels = 0
        self.turnover = 0
        for _ in range(_LEVELS):
            self._place(self.book.bids)
            self._place(self.book.asks)
        self._far_levels = self._place_far(far_levels)
        self.book.drain()

    def advance(self) -> None:
        """Move the book by one slice of time; its trades are in `trades`."""
        rng = self.rng
        self.trades = []
        self.premium += -0.02 * self.premium + 0.04e-4 * rng.gauss(0, 1)
        activity = self.fair.activity
        for _ in range(_poisson(rng, self.listing.trades_per_s * activity * _SLICE_S)):
            self._take()
        self._requote(self.book.bids, activity)
        self._requote(self.book.asks, activity)
        for _ in range(_poisson(rng, 25 * (0.5 + 0.5 * activity) * _SLICE_S)):
            side = self.book.bids if rng.random() < 0.5 else self.book.asks
            if rng.random() < len(side.keys) / (2 * _LEVELS):
                self._cancel(side)
            else:
                self._place(side)

    def _value(self) -> float:
        return self.fair.price * (1 + self.premium)

    def _ticks(self, price: float) -> int:
        return max(1, round(price / self.tick))

    def _set(self, side: Side, price: int, size: int) -> None:
        if side is self.book.bids:
            self.book.set_bid(price, size)
        else:
            self.book.set_ask(price, size)

    def _quote_size(self, distance_bps: float) -> int:
        """Lots of a resting order: log-normal, deeper is larger, round amounts are liked."""
        notional = 900 * math.exp(self.rng.gauss(0, 1.1)) * (1 + distance_bps) ** 0.45
        return self._lots(notional, 0.3)

    def _lots(self, notional: float, round_share: float) -> int:
        amount = notional / self.fair.price
        if self.rng.random() < round_share:
            scale = 10.0 ** math.floor(math.log10(amount))
            amount = self.rng.choice((1.0, 1.0, 2.0, 2.5, 5.0)) * scale
        return max(1, round(amount / self.lot))

    def _place(self, side: Side) -> None:
        """Place a resting order at a power-law distance behind the touch; prices like round numbers."""
        rng = self.rng
        sign = -side.sign  # bids lie below
        other = (self.book.asks if side is self.book.bids else self.book.bids).best()
        reach = self.half_spread * rng.paretovariate(0.85)
        value = self._value()
        price = self._ticks(value * (1 - sign * min(reach, 0.012 * (1 + rng.random()))))
        if rng.random() < 0.25:
            step = 10 if rng.random() < 0.6 else 100
            price = price // step * step if sign > 0 else -(-price // step) * step
        if price <= 0 or (other is not None and (other - price) * sign <= 0):
            return
        size = side.sizes.get(price, 0) // 2 + self._quote_size(abs(price * self.tick / value - 1) * 1e4)
        self._set(side, price, size)
        if len(side.keys) > _MAX_LEVELS + self._far_levels:
            self._set(side, side.keys[-1 - self._far_levels] * side.sign, 0)

    def _place_far(self, count: int) -> int:
        """Place `count` levels a side that nothing reaches, a tick apart, from a tenth off the price outwards."""
        far = self.last // 10
        count = min(count, self.last - far - 1)
        for index in range(count):
            self._set(self.book.bids, self.last - far - index, 1 + index % 977)
            self._set(self.book.asks, self.last + far + index, 1 + index % 983)
        return count

    def _cancel(self, side: Side) -> None:
        """Withdraw or shrink a level, nearer ones more often; the last level stays."""
        near = len(side.keys) - self._far_levels
        if near < 2:
            return
        index = int(near * self.rng.random() ** 1.5)
        price = side.keys[index] * side.sign
        size = side.sizes[price]
        self._set(side, price, size // 2 if self.rng.random() < 0.3 else 0)

    def _requote(self, side: Side, activity: float) -> None:
        """Makers withdraw quotes the fair price has passed, and step in where the spread is wide."""
        rng = self.rng
        sign = -side.sign
        half = self.half_spread * (0.75 + 0.25 * min(activity, 8.0))
        value = self._value()
        limit = self._ticks(value * (1 - sign * 0.35 * half))
        while len(side.keys) > 1 and (side.keys[0] * side.sign - limit) * sign > 0 and rng.random() < 0.6:
            self._set(side, side.keys[0] * side.sign, 0)
        best = side.best()
        target = self._ticks(value * (1 - sign * half))
        missing = (target - best) * sign if best is not None else 1
        if missing <= 0 or rng.random() > 0.3:
            return
        price = target - sign * int(missing * rng.random() ** 2)
        other = (self.book.asks if side is self.book.bids else self.book.bids).best()
        if price > 0 and (other is None or (other - price) * sign > 0):
            self._set(side, price, self._quote_size(0.0))

    def _take(self) -> None:
        """One market order: it walks the book, and each level it meets is a trade."""
        rng = self.rng
        best = self.book.best()
        if best is None:
            return
        gap = (self._value() / ((best.bid + best.ask) * self.tick / 2) - 1) / self.half_spread
        is_buy = rng.random() < 1 / (1 + math.exp(-max(-8.0, min(8.0, 0.9 * gap + self.lean))))
        self.lean = 0.75 * self.lean + (0.25 if is_buy else -0.25)
        notional = 320 * math.exp(rng.gauss(0, 1.7))
        if rng.random() < 0.04:
            notional *= rng.paretovariate(1.2)
        remaining = self._lots(notional, 0.4)
        side = self.book.asks if is_buy else self.book.bids
        furthest = best.ask * 1.0015 if is_buy else best.bid * 0.9985
        while remaining and len(side.keys) > 1:
            price = side.keys[0] * side.sign
            if (price > furthest) if is_buy else (price < furthest):
                break
            filled = min(remaining, side.sizes[price])
            remaining -= filled
            self._set(side, price, side.sizes[price] - filled)
            self._fill(price, filled, is_buy)
        self.fair.activity += self.fair.excitement
        # informed flow moves the value a little: impact is concave in size
        self.fair.price *= 1 + (0.03e-4 if is_buy else -0.03e-4) * min(4.0, math.sqrt(notional / 1000))

    def _fill(self, price: int, size: int, is_buy: bool) -> None:
        self.trade_id += 1
        self.trades.append(Trade(self.trade_id, price, size, is_buy))
        self.last = price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += size
        self.turnover += size * price


class Market:
    """All books of all exchanges over the same fair prices.

    `flows[exchange][symbol]` are the books; `elapsed_us` is simulated time since the start.
    """

    def __init__(self, seed: int, exchanges: tuple[str, ...], listings: list[Listing], far_levels: int = 0) -> None:
        self.rng = random.Random(f"{seed}:market")  # noqa: S311 - a market, not a secret
        self.elapsed_us = 0
        books = Counter({base: len(exchanges) * n for base, n in Counter(x.base for x in listings).items()})
        self.fairs = {x.base: Fair(x.price, books[x.base] * x.trades_per_s) for x in listings}
        self.flows = {
            exchange: {
                listing.symbol: BookFlow(
                    listing,
                    self.fairs[listing.base],
                    random.Random(f"{seed}:{exchange}:{listing.symbol}"),  # noqa: S311
                    spread_factor=1.0 if order == 0 else 0.6,
                    far_levels=far_levels,
                )
                for listing in listings
            }
            for order, exchange in enumerate(exchanges)
        }

    def advance(self) -> None:
        """Move everything by one slice."""
        self.elapsed_us += SLICE_US
        rng = self.rng
        common = rng.gauss(0, 1)
        usual = 1 - _BRANCHING
        own_share = math.sqrt(1 - _FACTOR_SHARE**2)
        for fair in self.fairs.values():
            if rng.random() < 0.0002:
                fair.activity += 4 * rng.random()
            fair.activity = usual + (fair.activity - usual) * _DECAY
            scale = _SIGMA * math.sqrt(_SLICE_S * min(fair.activity, 12.0))
            fair.price *= 1 + scale * (_FACTOR_SHARE * common + own_share * rng.gauss(0, 1))
        for flows in self.flows.values():
            for flow in flows.values():
                flow.advance()


def _poisson(rng: random.Random, mean: float) -> int:
    """A Poisson draw for small means, by multiplication."""
    limit = math.exp(-mean)
    count, product = 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count
