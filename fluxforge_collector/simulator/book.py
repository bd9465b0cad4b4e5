"""A sequenced order book in integers: levels, update ids and the changes since the last publication."""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

Level = tuple[int, int]

DIGEST_LEVELS = 10


class Best(NamedTuple):
    """Best prices and sizes, in ticks and lots."""

    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Delta(NamedTuple):
    """Levels changed by the updates `first` to `last`; size 0 deletes."""

    first: int
    last: int
    bids: list[Level]
    asks: list[Level]


def digest_of(bids: Iterable[Level], asks: Iterable[Level]) -> int:
    """The CRC32 of levels as 64-bit integers, price and size in turn, bids before asks: equal books have equal ones."""
    return zlib.crc32(array("q", chain.from_iterable(asks)), zlib.crc32(array("q", chain.from_iterable(bids))))


class Side:
    """One side of a book: sizes by price, and prices ordered best first."""

    __slots__ = ("changed", "keys", "sign", "sizes")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.sizes: dict[int, int] = {}
        self.keys: list[int] = []
        self.changed: set[int] = set()

    def set(self, price: int, size: int) -> None:
        """Set the size at a price; 0 deletes, also where nothing is."""
        key = price * self.sign
        known = price in self.sizes
        if size:
            self.sizes[price] = size
            if not known:
                insort(self.keys, key)
        elif known:
            del self.sizes[price]
            del self.keys[bisect_left(self.keys, key)]
        self.changed.add(price)

    def best(self) -> int | None:
        """The best price; None where the side is empty."""
        return self.keys[0] * self.sign if self.keys else None

    def top(self, count: int) -> list[Level]:
        """The first `count` levels, best first."""
        return [(key * self.sign, self.sizes[key * self.sign]) for key in self.keys[:count]]

    def drain(self) -> list[Level]:
        """Levels changed since the last drain, best first."""
        prices = sorted(self.changed, key=lambda price: price * self.sign)
        self.changed.clear()
        return [(price, self.sizes.get(price, 0)) for price in prices]


class Book:
    """Both sides and the update id, which counts every change of a level by one."""

    def __init__(self, update_id: int = 0) -> None:
        self.bids = Side(-1)
        self.asks = Side(1)
        self.update_id = update_id
        self.published_id = update_id

    def set_bid(self, price: int, size: int) -> None:
        """Set a bid level; 0 deletes."""
        self.bids.set(price, size)
        self.update_id += 1

    def set_ask(self, price: int, size: int) -> None:
        """Set an ask level; 0 deletes."""
        self.asks.set(price, size)
        self.update_id += 1

    def skip(self, count: int) -> None:
        """Let the update id jump over ids that nothing carries."""
        self.update_id += count
        self.published_id += count

    def best(self) -> Best | None:
        """Best prices and sizes; None where a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        if bid is None or ask is None:
            return None
        return Best(bid, self.bids.sizes[bid], ask, self.asks.sizes[ask])

    def digest(self) -> int:
        """The digest of the ten best levels a side."""
        return digest_of(self.bids.top(DIGEST_LEVELS), self.asks.top(DIGEST_LEVELS))

    def drain(self) -> Delta | None:
        """What changed since the last drain; None where nothing did."""
        if self.update_id == self.published_id:
            return None
        delta = Delta(self.published_id + 1, self.update_id, self.bids.drain(), self.asks.drain())
        self.published_id = self.update_id
        return delta
