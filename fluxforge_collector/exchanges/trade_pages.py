"""How an exchange's trades are fetched again over REST, page by page. Pure functions of what was fetched so far.

Each exchange that gives more than its last page has a way of its own; everything else about a backfill is the same for
all of them and stands in `trade_backfill`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

Trade = Mapping[str, Any]
"""A trade in ccxt's form."""


class Page(NamedTuple):
    """The arguments of one call of ccxt's `fetch_trades`."""

    since_ms: int | None = None
    limit: int | None = None
    params: Mapping[str, Any] = {}


class Wanted(NamedTuple):
    """What is to be fetched: the exchange's times in milliseconds, and ccxt's market."""

    from_ms: int
    to_ms: int
    market: Mapping[str, Any]


Way = Callable[[Wanted, Sequence[Trade]], Page | None]
"""The next page, given what is wanted and the trades fetched so far, oldest first; None where no page can follow."""


Ids = Literal["counted", "ascending", "opaque"]
"""What an exchange's trade ids tell: `counted` ones go up by one per trade of a market."""


def last_page(_wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """The newest trades, in a single page: what every exchange has."""
    return None if fetched else Page()


def binance_pages(wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """Binance: the newest, then older ones by id, for which it asks a key. Its default call gives aggregates."""
    market = wanted.market
    api = "fapiPublic" if market.get("linear") else "dapiPublic" if market.get("inverse") else "public"
    if not fetched:
        return Page(limit=1000, params={"fetchTradesMethod": f"{api}GetTrades"})
    limit = 500 if market.get("contract") else 1000
    from_id = max(0, int(fetched[0]["id"]) - limit)
    return Page(limit=limit, params={"fetchTradesMethod": f"{api}GetHistoricalTrades", "fromId": from_id})


def okx_pages(_wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """OKX: the newest 500, then 100 at a time before the oldest id."""
    if not fetched:
        return Page(limit=500)
    params = {"method": "publicGetMarketHistoryTrades", "type": "1", "after": fetched[0]["id"]}
    return Page(limit=100, params=params)


def coinbase_pages(wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """Coinbase: a span of whole seconds, of which it gives the newest trades; then the span before the oldest."""
    until_ms = (fetched[0]["timestamp"] if fetched else wanted.to_ms) + 1000
    return Page(since_ms=wanted.from_ms - 1000, limit=1000, params={"until": until_ms})


def kraken_pages(wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """Kraken: from a second on, oldest first."""
    if fetched and fetched[-1]["timestamp"] >= wanted.to_ms:
        return None
    return Page(since_ms=fetched[-1]["timestamp"] if fetched else wanted.from_ms - 1000, limit=1000)


def bybit_pages(wanted: Wanted, fetched: Sequence[Trade]) -> Page | None:
    """Bybit: one page, shorter for spot."""
    return None if fetched else Page(limit=60 if wanted.market.get("spot") else 1000)


class History(NamedTuple):
    """How the trades of an exchange are had again; `is_oldest_first` where later pages are newer."""

    pages: Way = last_page
    ids: Ids = "opaque"
    is_oldest_first: bool = False
