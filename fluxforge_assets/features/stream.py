"""Books and trades advanced together: chunks of both channels to rows whose buckets are complete in both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from fluxforge_assets.features.buckets import BookStream, TradeStream
from fluxforge_assets.features.gaps import ChannelBreaks
from fluxforge_assets.features.rows import LastSeen, Rows, build_rows
from fluxforge_assets.kernels.book_pass import BookChunk
from fluxforge_assets.kernels.trade_pass import TradeChunk
from fluxforge_collector.config.features import FeatureOptions

BLOCK_ROWS = 4096
"""Rows made at once, about: enough to spread the cost of each column's call, few enough to bound memory."""
_FAR = int(np.iinfo(np.int64).max)


class TradeFeed:
    """Chunks of trades, handed out up to an instant."""

    def __init__(self, chunks: Iterable[TradeChunk]) -> None:
        self._chunks = iter(chunks)
        self._held: TradeChunk | None = None

    def until(self, instant: int) -> Iterator[TradeChunk]:
        """The trades not handed out yet, up to and with those at `instant`."""
        while True:
            chunk = self._held if self._held is not None else next(self._chunks, None)
            if chunk is None:
                return
            at = int(np.searchsorted(chunk.ts, instant, "right"))
            rest = TradeChunk._make(column[at:] for column in chunk)
            self._held = rest if len(rest.ts) else None
            if at:
                yield TradeChunk._make(column[:at] for column in chunk)
            if self._held is not None:
                return


def rows_of(
    book_chunks: Iterable[BookChunk],
    trade_chunks: Iterable[TradeChunk] | None,
    breaks: ChannelBreaks,
    options: FeatureOptions,
    *,
    has_changes: bool,
    has_resilience: bool,
) -> Iterator[Rows]:
    """Rows in order, in blocks, each when no event still to come can change it."""
    books = BookStream(
        options,
        breaks,
        has_changes=has_changes,
        has_resilience=has_resilience,
        has_quotes=trade_chunks is not None,
    )
    trades = TradeStream(options, breaks)
    feed = TradeFeed(trade_chunks if trade_chunks is not None else ())
    seen = LastSeen()

    def complete(before: int) -> Rows:
        closed_trades = trades.release(before) if trade_chunks is not None else None
        return build_rows(books.release(before), closed_trades, seen, options)

    for chunk in book_chunks:
        if not len(chunk.ts):
            continue
        books.take(chunk)
        upto = int(chunk.ts[-1])
        for part in feed.until(upto):
            trades.take(part, books.quotes)
        if max(len(books), len(trades)) >= BLOCK_ROWS:
            yield complete(upto // options.bucket_us)
    for part in feed.until(_FAR):
        trades.take(part, books.quotes)
        if len(trades) >= BLOCK_ROWS:
            yield complete(int(part.ts[-1]) // options.bucket_us)
    yield complete(_FAR)
