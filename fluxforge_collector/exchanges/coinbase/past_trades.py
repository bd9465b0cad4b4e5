"""Trades of the past over REST, for who speaks to Coinbase directly: one page when asked. What of them is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from fluxforge_collector.exchanges.coinbase.mapping import in_ccxt_form
from fluxforge_collector.exchanges.coinbase.messages import read_trades
from fluxforge_collector.exchanges.coinbase.products import Product
from fluxforge_collector.exchanges.frames import Frames
from fluxforge_collector.exchanges.pace import Pace
from fluxforge_collector.exchanges.trade_pages import Trade

URL = "https://api.coinbase.com/api/v3/brokerage/market/products/{product}/ticker"

_REST = aiohttp.ClientTimeout(total=30)


class PastTrades:
    """Is asked as a ccxt exchange is. `local` gives the address of a URL, `pace` is that of all feeds together."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        products: Mapping[str, Product],
        *,
        local: Callable[[str], str],
        pace: Pace,
        frames: Frames | None,
    ) -> None:
        self.markets: Mapping[str, Mapping[str, Any]] = {symbol: {} for symbol in products}
        self.last_response_headers: Mapping[str, str] | None = None
        self._http = http
        self._products = products
        self._local = local
        self._pace = pace
        self._frames = frames

    async def fetch_trades(
        self, symbol: str, since_ms: int | None, limit: int | None, params: Mapping[str, Any]
    ) -> list[Trade]:
        """The newest trades of whole seconds. Raises: aiohttp's errors; DataError for an answer that is no list."""
        await self._pace.slot()
        url = self._local(URL.format(product=self._products[symbol].asked_id))
        query = {"limit": limit, "start": (since_ms or 0) // 1000, "end": params["until"] // 1000}
        async with self._http.get(url, params=query, timeout=_REST) as answer:
            self.last_response_headers = answer.headers
            body = await answer.read()
            if self._frames is not None:
                self._frames.answered(str(answer.url), answer.status, body.decode(errors="backslashreplace"))
            answer.raise_for_status()
        return [in_ccxt_form(trade) for trade in read_trades(body)]
