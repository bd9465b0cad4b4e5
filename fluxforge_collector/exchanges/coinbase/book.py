"""A product's order book: every level by price, the best of them by value. Pure; no frame, no clock."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import neg

from fluxforge_collector.exchanges.coinbase.messages import Level
from fluxforge_collector.exchanges.sound import MOST_LEVELS


class BookSide:
    """One side. `sign` is 1 for bids, −1 for asks: with it the best price is always the greatest key.

    Keys ascend, so that the changes near the best, which are most, move little of the list.
    """

    __slots__ = ("_depth", "_edge", "_keys", "_sign", "_sizes", "_top")

    def __init__(self, sign: int, depth: int) -> None:
        self._sign = sign
        self._depth = depth
        self._keys: list[float] = []
        self._sizes: dict[float, float] = {}
        self._top: list[float] | None = None
        self._edge = float("-inf")

    def __len__(self) -> int:
        return len(self._keys)

    def fill(self, levels: dict[float, float]) -> None:
        """Begin anew with these sizes by price."""
        self._sizes = {self._sign * price: size for price, size in levels.items() if size}
        self._keys = sorted(self._sizes)
        self._top = None

    def put(self, price: float, size: float) -> None:
        """Set a level; a size of 0 removes it. Removing what was never told of is usual, and changes nothing."""
        key, sizes = self._sign * price, self._sizes
        if size:
            if key not in sizes:
                insort(self._keys, key)
            sizes[key] = size
        elif sizes.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        else:
            return
        if key >= self._edge:
            self._top = None

    def top(self) -> list[float]:
        """The best levels, price then size in turn. The list is never changed again, and may be had more than once."""
        if self._top is None:
            keys = self._keys[: -self._depth - 1 : -1]
            self._edge = keys[-1] if len(keys) == self._depth else float("-inf")
            top = [0.0] * (2 * len(keys))
            top[::2] = keys if self._sign > 0 else map(neg, keys)
            top[1::2] = map(self._sizes.__getitem__, keys)
            self._top = top
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
