"""Checksums of order books as exchanges compute them: over the decimal text of the best levels, never over floats."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable

Form = Callable[[str, str], str]
"""What a level, price and size as text, contributes to a checksum."""

_KRAKEN_LEVELS = 10
_OKX_LEVELS = 25


class TextSide:
    """One side of a book: what each level contributes to the checksum, best first, at most `depth` levels.

    `sign` is -1 for bids, whose best price is the highest, and 1 for asks.
    """

    def __init__(self, sign: int, depth: int, form: Form) -> None:
        self._sign = sign
        self._depth = depth
        self._form = form
        self._texts: dict[float, str] = {}
        self._keys: list[float] = []

    def apply(self, levels: Iterable[tuple[str, str]]) -> None:
        """Set levels, a size of zero deleting, then cut to the depth. Raises: ValueError for what is no number."""
        texts, keys = self._texts, self._keys
        for price, size in levels:
            key = float(price) * self._sign
            if float(size):
                if key not in texts:
                    insort(keys, key)
                texts[key] = self._form(price, size)
            elif texts.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
        for key in keys[self._depth :]:
            del texts[key]
        del keys[self._depth :]

    def top(self, count: int) -> list[str]:
        """What the best `count` levels contribute."""
        texts = self._texts
        return [texts[key] for key in self._keys[:count]]


class TextBook:
    """Both sides of a book as text."""

    def __init__(self, depth: int, form: Form) -> None:
        self.bids = TextSide(-1, depth, form)
        self.asks = TextSide(1, depth, form)


def kraken_form(price: str, size: str) -> str:
    """Price and size without decimal point and leading zeros: `0.00100000` contributes `100000`."""
    return price.replace(".", "").lstrip("0") + size.replace(".", "").lstrip("0")


def kraken_checksum(book: TextBook) -> int:
    """Kraken: CRC32 over the ten best asks, then the ten best bids."""
    return zlib.crc32("".join(book.asks.top(_KRAKEN_LEVELS) + book.bids.top(_KRAKEN_LEVELS)).encode())


def okx_form(price: str, size: str) -> str:
    """Price and size as they are, with a colon between."""
    return f"{price}:{size}"


def okx_checksum(book: TextBook) -> int:
    """OKX: CRC32 as a signed number over the best 25 levels, bid and ask in turn, whichever side still has one."""
    sides = book.bids.top(_OKX_LEVELS), book.asks.top(_OKX_LEVELS)
    text = ":".join(side[level] for level in range(_OKX_LEVELS) for side in sides if level < len(side))
    number = zlib.crc32(text.encode())
    return number - (1 << 32) if number >> 31 else number
