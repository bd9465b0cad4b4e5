"""The taps: every frame and every state, trade and ticker of a ccxt.pro exchange, synchronously, by two seams.

A subclass of the exchange decorates each new `Client` once. Its `handle_text_or_binary_message` gives every frame;
its `resolve` is called for every update before any is dropped for a waiting task. What is taken there never reaches the
futures: the tasks that hold the subscriptions open sleep until something fails, and ccxt does no work for them.

The internals relied upon are named in `require_internals`, and ccxt is pinned to one version.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import ccxt.pro
from ccxt.async_support.base.ws.cache import ArrayCache, BaseCache
from ccxt.async_support.base.ws.client import Client
from ccxt.async_support.base.ws.order_book import OrderBook
from ccxt.base.errors import NetworkError

from fluxforge_collector.errors import DataError, FeedError
from fluxforge_collector.exchanges.frames import Frames
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.in_hand import Distrust
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.sound import MOST_LEVELS
from fluxforge_collector.exchanges.surroundings import Connection
from fluxforge_collector.records import Channel, GapReason

WANTED: ContextVar[tuple[Stream, ...]] = ContextVar("WANTED", default=())
"""The streams that the current task asks an exchange for."""

_CACHED_TRADES = 64
_CLIENT = ("handle_text_or_binary_message", "on_close", "on_error", "resolve", "send")
_EXCHANGE = (
    "client", "handle_message", "on_close", "on_connected", "on_error", "on_rest_response", "set_markets_from_exchange",
    "watch_multiple",
)  # fmt: skip


class BadFrameError(NetworkError):  # type: ignore[misc]  # ccxt has no types
    """A frame that could not be handled: its connection is given up, and everyone waiting on it is told."""


class SilenceError(NetworkError):  # type: ignore[misc]
    """A connection that has brought nothing for too long."""


class UntrustedError(NetworkError):  # type: ignore[misc]
    """A connection whose order books can no longer be believed, by `reason`."""

    def __init__(self, distrust: Distrust) -> None:
        super().__init__(distrust.why)
        self.reason = distrust.reason


_REASONS: dict[type, GapReason] = {
    BadFrameError: GapReason.BAD_FRAME,
    SilenceError: GapReason.STALE,
}


def require_internals() -> None:
    """Raises: FeedError where this ccxt lacks what the taps rely upon."""
    exchange = ccxt.pro.Exchange
    missing = [name for name in _CLIENT if not inspect.isfunction(getattr(Client, name, None))]
    missing += [name for name in _EXCHANGE if not inspect.isfunction(getattr(exchange, name, None))]
    if missing or not issubclass(OrderBook, dict) or not issubclass(ArrayCache, BaseCache):
        raise FeedError(
            f"ccxt {ccxt.pro.__version__} has changed: no {', '.join(missing) or 'book or cache as known'}",
            "install the ccxt version of requirements.lock",
        )


class Tap:
    """What is laid over an exchange class; `record_with` gives it its recorder before the first call."""

    recorder: Recorder
    frames: Frames | None = None
    connections: dict[Any, Connection]
    is_full_diff: bool
    orderbooks: dict[str, Any]
    trades: dict[str, Any]
    tickers: dict[str, Any]
    clients: dict[str, Any] | None

    def record_with(self, recorder: Recorder, *, is_full_diff: bool) -> None:
        """Report everything to this recorder."""
        self.recorder = recorder
        self.connections = {}
        self.is_full_diff = is_full_diff

    def client(self, url: str) -> Any:
        """The client of a URL, tapped when it is new, with the streams the current task wants of it."""
        is_new = url not in (self.clients or {})
        client = super().client(url)  # type: ignore[misc]
        if is_new:
            self._tap(client, url)
        connection = self.connections.get(client)
        if connection is not None:
            self.recorder.carry(connection, WANTED.get())
        return client

    def _tap(self, client: Any, url: str) -> None:
        connection = self.connections[client] = self.recorder.dial(url)
        recorder = self.recorder
        handle, resolve = client.handle_text_or_binary_message, client.resolve

        def tapped_handle(data: Any) -> None:
            if not recorder.begin(connection, data):
                return
            try:
                handle(data)
            except Exception as error:  # noqa: BLE001  # whatever it is, ccxt's receive loop would die of it in silence
                recorder.spoil(error)
                client.on_error(BadFrameError(f"{type(error).__name__}: {error}"))
                return
            distrust = recorder.end()
            if distrust is not None:
                client.on_error(UntrustedError(distrust))

        def tapped_resolve(result: Any, message_hash: Any = None) -> Any:
            is_taken = self._take(connection, result, str(message_hash))
            if recorder.uninvited:
                self._let_go(recorder.uninvited)
            return result if is_taken else resolve(result, message_hash)

        client.handle_text_or_binary_message = tapped_handle
        client.resolve = tapped_resolve
        if self.frames is not None:
            self._tap_frames(client, connection, self.frames)

    def _tap_frames(self, client: Any, connection: Connection, frames: Frames) -> None:
        """Record what comes in and what is sent, as text, until nothing is recorded any more."""
        recorder, handle, send = self.recorder, client.handle_text_or_binary_message, client.send

        def noted_handle(data: Any) -> None:
            if not recorder.is_stopped:
                frames.received(connection, data)
            handle(data)

        async def noted_send(message: Any) -> Any:
            text = message if isinstance(message, str) else ccxt.pro.Exchange.json(message)
            frames.sent(connection, text)
            return await send(text)

        client.handle_text_or_binary_message = noted_handle
        client.send = noted_send

    def _take(self, connection: Connection, result: Any, message_hash: str) -> bool:
        """Record a result that is market data; False where it is something else."""
        if isinstance(result, OrderBook):
            self._cut(result)
            self.recorder.book(connection, result, message_hash)
        elif isinstance(result, BaseCache):
            self._tap_trades(connection, result)
        elif not isinstance(result, Mapping) or message_hash.startswith("bidask"):
            return False
        elif _is_ticker(result):
            self.recorder.ticker(connection, result)
        elif result and all(_is_ticker(value) for value in result.values()):
            for ticker in result.values():
                self.recorder.ticker(connection, ticker)
        else:
            return False
        return True

    def _let_go(self, symbols: set[str]) -> None:
        """Keep nothing of symbols that nobody asked for: an exchange could name any number of them."""
        for symbol in symbols:
            for cache in (self.orderbooks, self.trades, self.tickers):
                cache.pop(symbol, None)
        symbols.clear()

    def _cut(self, book: Any) -> None:
        """Cut ccxt's live book where the feed ends: below a fixed depth the exchange no longer says what changes.

        Raises: DataError for a book without end.
        """
        if not self.is_full_diff:
            book.limit()
        if len(book["bids"]) > MOST_LEVELS or len(book["asks"]) > MOST_LEVELS:
            raise DataError(f"{book['symbol']}: more levels than any market has")

    def _tap_trades(self, connection: Connection, cache: Any) -> None:
        """Record what is in a new cache, and from now on each trade as it is appended: once each, in order."""
        if "append" in vars(cache):
            return
        recorder, append = self.recorder, type(cache).append
        is_plain = type(cache) is ArrayCache
        # in a cycle its trades would outlive it until garbage is looked for
        itself: Callable[[], Any] = weakref.ref(cache)

        def tapped_append(trade: Any) -> None:
            cache = itself()
            append(cache, trade)
            # the cache outlives the connection that filled it first
            recorder.trade(recorder.connection or connection, trade)
            if is_plain and len(cache) > _CACHED_TRADES:
                del cache[0]

        cache.append = tapped_append
        for trade in list(cache):
            recorder.trade(connection, trade)

    def handle_message(self, client: Any, message: Any) -> Any:
        """Let ccxt handle a message, once the recorder has looked at it."""
        return super().handle_message(client, message) if self.recorder.judge(message) else None  # type: ignore[misc]

    def on_rest_response(
        self, code: int, reason: Any, url: str, method: Any, headers: Any, body: str, *request: Any
    ) -> Any:
        """A request was answered."""
        if self.frames is not None:
            self.frames.answered(url, code, body)
        return super().on_rest_response(code, reason, url, method, headers, body, *request)  # type: ignore[misc]

    def on_connected(self, client: Any, message: Any = None) -> Any:
        """A connection stands."""
        connection = self.connections.get(client)
        if connection is not None:
            self.recorder.connected(connection)
            if self.frames is not None:
                self.frames.opened(connection)
        return super().on_connected(client, message)  # type: ignore[misc]

    def on_error(self, client: Any, error: BaseException) -> Any:
        """A connection has failed, or was never made."""
        reason = error.reason if isinstance(error, UntrustedError) else _REASONS.get(type(error), GapReason.DISCONNECT)
        self._lose(client, reason, f"{type(error).__name__}: {error}")
        return super().on_error(client, error)  # type: ignore[misc]

    def on_close(self, client: Any, code: Any) -> Any:
        """A connection has ended."""
        self._lose(client, GapReason.DISCONNECT, f"closed by the exchange, code {code}", code)
        return super().on_close(client, code)  # type: ignore[misc]

    def _lose(self, client: Any, reason: GapReason, detail: str, code: Any = None) -> None:
        connection = self.connections.pop(client, None)
        if connection is None or self.recorder.is_stopped:
            return
        if self.frames is not None and code is not None:
            self.frames.closed(connection, code)
        elif self.frames is not None:
            self.frames.failed(connection, detail)
        self.recorder.lose(connection, reason, detail)
        for stream in connection.streams:
            # no book may live on from one connection to the next, nor the trades of a frame that failed
            if stream.channel is Channel.ORDERBOOK:
                self.orderbooks.pop(stream.symbol, None)
            elif stream.channel is Channel.TRADES:
                self.trades.pop(stream.symbol, None)


def _is_ticker(value: Any) -> bool:
    return isinstance(value, Mapping) and "symbol" in value and "bid" in value and "last" in value
