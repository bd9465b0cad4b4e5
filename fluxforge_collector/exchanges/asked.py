"""What a configuration asks of an exchange: its streams, their shares, and what to tell of an unknown symbol."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice

from fluxforge_collector.config.sources import Asked
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.records import Channel

CHANNELS = (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER)


def streams_of(settings: Asked) -> list[Stream]:
    """Every stream the configuration asks of an exchange."""
    return [Stream(channel, symbol) for channel in CHANNELS for symbol in settings.symbols_of(channel)]


def unknown_symbol(exchange: str, symbol: str, known: Iterable[str], section: str | None = None) -> str:
    """What to tell about a symbol the exchange does not have; `section` is where it is configured."""
    near = difflib.get_close_matches(symbol, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else "remove it"
    return f"{exchange} has no symbol {symbol!r}: {hint} ({section or f'exchanges.{exchange}'}.symbols)"


def shards(streams: list[Stream], size: int) -> Iterator[list[Stream]]:
    """The streams in shares of at most `size` symbols each, the channels of a symbol together."""
    symbols = iter(dict.fromkeys(stream.symbol for stream in streams))
    while share := set(islice(symbols, size)):
        yield [stream for stream in streams if stream.symbol in share]
