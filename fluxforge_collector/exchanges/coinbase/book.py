"""A product's order book: every level by price, the best of them by value. Pure; no frame, no clock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from fluxforge_collector.exchanges.coinbase.messages import Level
from fluxforge_collector.exchanges.sound import MOST_LEVELS


class BookSide:
    """One side. `sign` is 1 for bids, −1 for asks: with it the best price is always the greatest key.

    Keys ascend, prices and sizes beside them: changes near the best, which are most, move little of the lists.
    """

    __slots__ = ("_depth", "_edge", "_keys", "_prices", "_sign", "_sizes", "_top")

    def __init__(self, sign: int, depth: int) -> None:
        self._sign = sign
        self._depth = depth
        self._keys: list[float] = []
        self._prices: list[float] = []
        self._sizes: list[float] = []
        self._top: list[float] | None = None
        self._edge = float("-inf")

    def __len__(self) -> int:
        return len(self._keys)

    def fill(self, levels: dict[float, float]) -> None:
        """Begin anew with these sizes by price."""
        self._prices = sorted((price for price, size in levels.items() if size), reverse=self._sign < 0)
        self._keys = [self._sign * price for price in self._prices]
        self._sizes = [levels[price] for price in self._prices]
        self._top = None

    def put(self, price: float, size: float) -> None:
        """Set a level; a size of 0 removes it. Removing what was never told of is usual, and changes nothing."""
        key, keys, sizes = self._sign * price, self._keys, self._sizes
        place = bisect_left(keys, key)
        is_known = place < len(keys) and keys[place] == key
        if size and is_known:
            sizes[place] = size
        elif size:
            keys.insert(place, key)
            self._prices.insert(place, price)
            sizes.insert(place, size)
        elif is_known:
            del keys[place], self._prices[place], sizes[place]
        else:
            return
        if key >= self._edge:
            self._top = None

    def top(self) -> list[float]:
        """The best levels, price then size in turn. The list is never changed again, and may be had more than once."""
        if self._top is None:
            best = slice(None, -self._depth - 1, -1)
            prices = self._prices[best]
            self._edge = self._sign * prices[-1] if len(prices) == self._depth else float("-inf")
            self._top = prices + prices
            self._top[::2] = prices
            self._top[1::2] = self._sizes[best]
        return self._top


class OrderBook:
    """A book that begins with a snapshot; only its best `depth` levels a side are asked for."""

    __slots__ = ("asks", "bids")

    def __init__(self, depth: int) -> None:
        self.bids = BookSide(1, depth)
        self.asks = BookSide(-1, depth)

    def begin(self, levels: Iterable[Level]) -> None:
        """Take a snapshot, whatever was there before."""
        bids: dict[float, float] = {}
        asks: dict[float, float] = {}
        for level in levels:
            (bids if level.side == "bid" else asks)[level.price_level] = level.new_quantity
        self.bids.fill(bids)
        self.asks.fill(asks)

    def apply(self, levels: Iterable[Level]) -> None:
        """Set each level to its new size."""
        bids, asks = self.bids.put, self.asks.put
        for level in levels:
            (bids if level.side == "bid" else asks)(level.price_level, level.new_quantity)

    @property
    def is_too_large(self) -> bool:
        """Whether it holds more levels than any market has."""
        return len(self.bids) > MOST_LEVELS or len(self.asks) > MOST_LEVELS
