"""Fetching trades again over REST after a gap: the thin part, that waits, asks and tries again.

What is fetched how stands in `trade_pages`, what of it was missing in `missing_trades`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from fluxforge_collector.exchanges.connections import Connections
from fluxforge_collector.exchanges.missing_trades import Found, Missing, by_time, find, reaches_back
from fluxforge_collector.exchanges.trade_pages import History, Page, Trade, Wanted
from fluxforge_collector.reconnect import Backoff, is_permanent, retry_after_s

log = structlog.get_logger()

SETTLE_S = 2.0
"""How long an exchange's REST may lag behind its stream: asked sooner, it may not know the last trades of a gap."""

_POLL_S = 0.2
_MOST_PAGES = 50
_MOST_TRIES = 5


class TradeSource(Protocol):
    """Who is asked for trades of the past, as a ccxt exchange is."""

    @property
    def markets(self) -> Mapping[str, Mapping[str, Any]]:
        """Its markets by symbol."""

    @property
    def last_response_headers(self) -> Mapping[str, str] | None:
        """The headers of its last answer."""

    async def fetch_trades(
        self, symbol: str, since_ms: int | None, limit: int | None, params: dict[str, Any], /
    ) -> list[Trade]:
        """A page of trades."""


class TradeBackfill:
    """Fetches what a recorder misses, one gap after the other, until cancelled."""

    def __init__(
        self, exchange: TradeSource, recorder: Connections, history: History, *, settle_s: float = SETTLE_S
    ) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._history = history
        self._settle_s = settle_s
        self._log = log.bind(exchange=recorder.exchange)

    async def run(self) -> None:
        """Fill gaps of trades once they have ended."""
        loop = asyncio.get_running_loop()
        due_s: dict[Missing, float] = {}
        while True:
            await asyncio.sleep(_POLL_S)
            settled_s = loop.time() + self._settle_s
            due_s = {missing: due_s.get(missing, settled_s) for missing in self._recorder.missing}
            for missing, at_s in due_s.items():
                if loop.time() >= at_s and missing in self._recorder.missing:
                    await self._fill(missing)

    async def _fill(self, missing: Missing) -> None:
        found = await self._fetch(missing)
        if missing not in self._recorder.missing:
            return  # given up meanwhile: a gap row has told of it
        self._recorder.restore(missing, found)
        symbol, trades = missing.stream.symbol, len(found.trades)
        if found.left:
            lost = [part.lost for part in found.left]
            self._log.warning("trades missing", symbol=symbol, trades=trades, lost=lost)
        else:
            self._log.info("trades fetched again", symbol=symbol, trades=trades)

    async def _fetch(self, missing: Missing) -> Found:
        """The trades of a gap as far as they can be had; an exchange that refuses leaves the rest of it open."""
        pages, ids, is_oldest_first = self._history
        symbol = missing.stream.symbol
        wanted = Wanted(missing.from_ms, missing.to_ms, self._exchange.markets[symbol])
        known: dict[str, Trade] = {}
        fetched: list[Trade] = []
        is_exhausted = False
        for _ in range(_MOST_PAGES):
            page = pages(wanted, fetched)
            if page is None or (not is_oldest_first and reaches_back(missing, fetched, ids)):
                is_exhausted = is_oldest_first
                break
            trades = await self._page(symbol, page)
            fresh = {t["id"]: t for t in trades or () if t["id"] is not None and t["timestamp"] is not None}
            if not fresh.keys() - known.keys():
                is_exhausted = trades is not None
                break
            known |= fresh
            fetched = by_time(known.values())
        if is_oldest_first:
            return find(missing, fetched, ids, has_newest=is_exhausted)
        return find(missing, fetched, ids, has_oldest=is_exhausted)

    async def _page(self, symbol: str, page: Page) -> list[Trade] | None:
        """One page, tried again where that can help; None where it cannot be had."""
        backoff = Backoff()
        for _ in range(_MOST_TRIES):
            try:
                trades = await self._exchange.fetch_trades(symbol, page.since_ms, page.limit, dict(page.params))
            except Exception as error:  # noqa: BLE001  # an exchange may raise anything
                why = f"{type(error).__name__}: {error}"[:200]
                if is_permanent(error):
                    self._log.warning("trades refused", symbol=symbol, why=why)
                    return None
                asked_s = retry_after_s(error, self._exchange.last_response_headers)
                delay_s = backoff.next_delay_s(retry_after_s=asked_s)
                self._log.warning("trades not fetched yet", symbol=symbol, why=why, in_s=round(delay_s, 2))
                await asyncio.sleep(delay_s)
            else:
                return trades
        return None
