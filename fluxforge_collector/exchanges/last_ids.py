"""The ids of a stream's last trades, in one piece of memory."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Self

MOST_IDS = 500
"""More than any exchange says again to whoever subscribes."""
_WORD = 8
_NONE = -1
"""No hash of a string: Python keeps it for errors."""


class LastIds:
    """The last 500 ids, each by its 64-bit hash.

    As strings they would lie among what is freed every second, each for as long as 500 others take to come, and keep
    the memory around it from going back to the system.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._words = bytearray()  # whole with the first
        self._place = 0  # of the oldest, where the next one goes
        for trade_id in ids:
            self.add(trade_id)

    def __contains__(self, trade_id: str) -> bool:
        return self._find(trade_id) is not None

    def add(self, trade_id: str) -> None:
        """Remember one more; the oldest is forgotten."""
        if not self._words:
            self._words.extend(_word(_NONE) * MOST_IDS)
        self._put(self._place, hash(trade_id))
        self._place = (self._place + _WORD) % len(self._words)

    def discard(self, trade_id: str) -> None:
        """Forget one, if it is remembered."""
        place = self._find(trade_id)
        if place is not None:
            self._put(place, _NONE)

    def copy(self) -> Self:
        """The same ids, apart."""
        return deepcopy(self)

    def _put(self, place: int, value: int) -> None:
        self._words[place : place + _WORD] = _word(value)

    def _find(self, trade_id: str) -> int | None:
        word = _word(hash(trade_id))
        place = self._words.find(word)
        while place >= 0:
            if place % _WORD == 0:
                return place
            place = self._words.find(word, place + 1)  # it lay across two others
        return None


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "little", signed=True)
