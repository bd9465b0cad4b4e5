"""The event passes as streams: chunks of events in, closed buckets out, books and trades in step with each other."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from fluxforge_assets.features.gaps import ChannelBreaks
from fluxforge_assets.kernels import book_pass, trade_pass
from fluxforge_assets.kernels.book_pass import MISSING, BookChunk, BookParams, Quotes
from fluxforge_assets.kernels.trade_pass import TradeChunk, TradeParams
from fluxforge_collector.config.features import FeatureOptions

Part = TypeVar("Part", book_pass.Closed, trade_pass.Closed)


def cut(part: Part, chosen: slice) -> Part:
    """The chosen buckets of a part."""
    return type(part)._make(array[..., chosen] for array in part)


def join_parts(parts: list[Part]) -> Part:
    """Parts one after another, in arrays of their own."""
    return type(parts[0])._make(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True))


def split_parts(part: Part, before: int) -> tuple[Part, Part]:
    """The buckets before an index, and the others."""
    at = int(np.searchsorted(part.bucket, before))
    return cut(part, slice(0, at)), cut(part, slice(at, None))


class BookStream:
    """The book pass over chunks. `quotes` are the best prices of the valid events since the chunk before."""

    def __init__(
        self,
        options: FeatureOptions,
        breaks: ChannelBreaks,
        *,
        has_changes: bool,
        has_resilience: bool,
        has_quotes: bool,
    ) -> None:
        self._params = BookParams(
            options.bucket_us,
            options.max_levels,
            min(5, options.max_levels),
            # floats even where whole, or the kernels would be compiled twice
            float(options.bands_bps[0]),
            float(options.tight_spread_bps),
            float(options.wide_spread_bps),
            has_changes,
            has_resilience,
            has_quotes,
        )
        self._breaks = breaks.book
        self._shape = (options.depth, options.ofi_levels)
        self._state = book_pass.fresh_state(*self._shape)
        self._closed = [book_pass.room(0, *self._shape)]
        self.quotes = _quotes(0)

    def take(self, chunk: BookChunk) -> None:
        """Take the events of a chunk, none earlier than those before."""
        held = min(len(self.quotes.ts), 1) if self._params.has_quotes else 0
        quotes = _quotes(held + (len(chunk.ts) if self._params.has_quotes else 0))
        for old, new in zip(self.quotes, quotes, strict=True):
            new[:held] = old[len(old) - held :]
        out = book_pass.room(_buckets(chunk.ts, self._params.bucket_us), *self._shape)
        fresh = Quotes._make(array[held:] for array in quotes)
        closed, quoted = book_pass.pass_books(chunk, self._state, self._params, self._breaks, out, fresh)
        self.quotes = Quotes._make(array[: held + quoted] for array in quotes)
        self._closed.append(cut(out, slice(0, closed)))

    def __len__(self) -> int:
        return sum(len(part.bucket) for part in self._closed)

    def release(self, before: int) -> book_pass.Closed:
        """The buckets before an index, all of whose events are known to have been taken."""
        if MISSING < self._state.whole[book_pass.OPEN] < before:
            out = book_pass.room(1, *self._shape)
            book_pass.close_bucket(self._state, out, 0)
            self._closed.append(out)
        released, later = split_parts(join_parts(self._closed), before)
        self._closed = [later]
        return released


class TradeStream:
    """The trade pass over chunks."""

    def __init__(self, options: FeatureOptions, breaks: ChannelBreaks) -> None:
        self._params = TradeParams(
            options.bucket_us, float(options.large_trade_notional), options.side_fallback == "quote"
        )
        self._breaks = breaks
        self._state = trade_pass.fresh_state()
        self._closed = [trade_pass.room(0)]

    def take(self, chunk: TradeChunk, quotes: Quotes) -> None:
        """Take the trades of a chunk, none earlier than those before, with the quotes that prevail for them."""
        out = trade_pass.room(_buckets(chunk.ts, self._params.bucket_us))
        closed = trade_pass.pass_trades(
            chunk, quotes, self._state, self._params, self._breaks.trades, self._breaks.book, out
        )
        self._closed.append(cut(out, slice(0, closed)))

    def __len__(self) -> int:
        return sum(len(part.bucket) for part in self._closed)

    def release(self, before: int) -> trade_pass.Closed:
        """The buckets before an index, all of whose trades are known to have been taken."""
        if MISSING < self._state.whole[trade_pass.OPEN] < before:
            out = trade_pass.room(1)
            trade_pass.close_bucket(self._state, out, 0)
            self._closed.append(out)
        released, later = split_parts(join_parts(self._closed), before)
        self._closed = [later]
        return released


def _quotes(rows: int) -> Quotes:
    """Room for so many quotes."""
    return Quotes(np.empty(rows, np.int64), np.empty(rows), np.empty(rows))


def _buckets(ts: np.ndarray, bucket_us: int) -> int:
    """The most buckets that events at `ts` can close, with the one that is open."""
    return int(np.count_nonzero(np.diff(ts // bucket_us))) + 1 if len(ts) else 0
