"""The first levels of a book as a venue publishes them: what changed in the view since the last publication."""

from __future__ import annotations

from fluxforge_collector.simulator.book import Book, Delta, Level


class View:
    """The first `depth` levels a side at the last publication; `update_id` counts publications that changed something.

    A level that leaves the view is a change to size 0, whether it was deleted or only pushed out.
    """

    def __init__(self, depth: int) -> None:
        self.update_id = 1
        self._depth = depth
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def advance(self, book: Book) -> Delta | None:
        """What changed since the last call; None where nothing did."""
        bids, asks = dict(book.bids.top(self._depth)), dict(book.asks.top(self._depth))
        delta = Delta(self.update_id + 1, self.update_id + 1, _changes(self._bids, bids), _changes(self._asks, asks))
        self._bids, self._asks = bids, asks
        if not delta.bids and not delta.asks:
            return None
        self.update_id += 1
        return delta


def _changes(old: dict[int, int], new: dict[int, int]) -> list[Level]:
    gone = [(price, 0) for price in old if price not in new]
    return gone + [(price, size) for price, size in new.items() if old.get(price) != size]
