"""What the taps have to put right in ccxt's own classes of some exchanges, and the choice of the tap for each."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import ccxt.pro

from fluxforge_collector.exchanges.dialects import Acknowledgement
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.tap import Tap
from fluxforge_collector.records import Channel


class BinanceTap(Tap):
    """Binance fetches all books of a subscription anew when one of them is resubscribed; here only that one.

    Nor is a book fetched for a connection that is lost: the late answer would overwrite the book of the next one.
    """

    def record_with(self, recorder: Recorder, *, is_full_diff: bool) -> None:
        """Report everything to this recorder."""
        super().record_with(recorder, is_full_diff=is_full_diff)
        self._fetching: dict[Any, set[asyncio.Task[Any]]] = {}

    async def fetch_order_book_snapshot(self, client: Any, message: Any, subscription: Any) -> None:
        """Fetch a book, unless its connection is lost meanwhile."""
        task = asyncio.current_task()
        if task is None or client not in self.connections:
            return
        self._fetching.setdefault(client, set()).add(task)
        try:
            await super().fetch_order_book_snapshot(client, message, subscription)  # type: ignore[misc]
        finally:
            self._fetching.get(client, set()).discard(task)

    def _lose(self, client: Any, *why: Any) -> None:
        super()._lose(client, *why)
        for task in self._fetching.pop(client, set()):
            task.cancel()

    def handle_order_book_subscription(self, client: Any, message: Any, subscription: Any) -> Any:
        """Begin anew only the books that this very subscription stands for."""
        mine = [
            symbol
            for symbol in subscription["symbols"]
            if (client.subscriptions.get(f"orderbook::{symbol}") or {}).get("id") == subscription["id"]
        ]
        return super().handle_order_book_subscription(  # type: ignore[misc]
            client, message, {**subscription, "symbols": mine}
        )


class OkxTap(Tap):
    """OKX sends a book anew to whoever subscribes once more: only what is not subscribed is asked for."""

    def watch_multiple(
        self, url: str, hashes: list[str], message: Any = None, subscribe_hashes: Any = None, subscription: Any = None
    ) -> Any:
        """Wait for many streams at once; ccxt would subscribe to all of them where one is to be."""
        if message and message.get("op") == "subscribe" and len(message["args"]) == len(subscribe_hashes or ()):
            subscribed = self.client(url).subscriptions
            pairs = zip(message["args"], subscribe_hashes, strict=True)
            message = {**message, "args": [arg for arg, name in pairs if name not in subscribed]}
        return super().watch_multiple(url, hashes, message, subscribe_hashes, subscription)  # type: ignore[misc]


class BybitTap(Tap):
    """Bybit's answer to a request does not say what was asked for; what ccxt remembers of the request does."""

    def handle_subscription_status(self, client: Any, message: Any) -> Any:
        """Tell the recorder which subscriptions stand now."""
        request, connection = message.get("req_id"), self.connections.get(client)
        for message_hash, subscription in client.subscriptions.items():
            name, _, symbol = message_hash.partition(":")
            if connection is not None and name in _BYBIT_CHANNELS and str(subscription["id"]) == request:
                self.recorder.acknowledge(connection, Acknowledgement(_BYBIT_CHANNELS[name], symbol))
        return super().handle_subscription_status(client, message)  # type: ignore[misc]


_BYBIT_CHANNELS = {"trade": Channel.TRADES, "ticker": Channel.TICKER}
_TAPS = {"binance": BinanceTap, "bybit": BybitTap, "okx": OkxTap}
"""Exchange → the tap of those whose class is made from its class."""


def tapped(exchange: str) -> type[Any]:
    """The class of a ccxt.pro exchange with the taps laid over it."""
    base = getattr(ccxt.pro, exchange)
    tap = next((_TAPS[made_from.__name__] for made_from in base.__mro__ if made_from.__name__ in _TAPS), Tap)
    return cast(type[Any], type(exchange, (tap, base), {}))
