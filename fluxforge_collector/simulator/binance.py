"""Binance spot's wire protocol, spoken by Binance.US too: raw streams, 100 ms depth deltas, REST depth snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from fluxforge_collector.simulator.listing import Listing, decimal_text
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire, trade_frame

_CADENCES = {"depth@100ms": 5, "depth": 5, "trade": 1, "aggTrade": 1, "bookTicker": 1, "ticker": 50, "miniTicker": 50}
_DAY_MS = 86_400_000


class BinanceSpot(Wire):
    """The protocol of one of the Binance family's spot venues."""

    def __init__(self, exchange: str, hosts: frozenset[str]) -> None:
        self.exchange = exchange
        self.ping_s: float | None = 20.0
        self.refusal = '{"error":{"code":2,"msg":"Invalid request: request must be a JSON object"},"id":null}'
        self.counter: str | None = None
        self.silent_s: float | None = None
        self.greeting: str | None = None
        self.hosts = hosts

    def market_id(self, listing: Listing) -> str:
        """`BTCUSDT`."""
        return listing.base + listing.quote

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """Market list, depth snapshot, trades of the past, clock."""
        if path.endswith("/exchangeInfo"):
            is_spot = path.startswith("/api/")
            listings = [moment.listing for moment in moments.values()] if is_spot else []
            return exchange_info(listings, now_us)
        if path == "/api/v3/depth":
            moment = moments.get(query.get("symbol", ""))
            return None if moment is None else depth(moment, int(query.get("limit", "100")))
        if path in {"/api/v3/trades", "/api/v3/historicalTrades"}:
            moment = moments.get(query.get("symbol", ""))
            return None if moment is None else past_trades(moment, query)
        if path == "/api/v3/time":
            return {"serverTime": now_us // 1000}
        return {} if path == "/api/v3/ping" else None

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """Acknowledge with the same id, as ccxt fetches its snapshot only then."""
        del subscribed
        message = orjson.loads(text)
        topics = [stream_topic(stream) for stream in message.get("params") or []]
        known = [topic for topic in topics if topic.market in markets]
        reply = orjson.dumps({"result": None, "id": message.get("id")}).decode()
        match message.get("method"):
            case "SUBSCRIBE":
                return Received([reply], known, [])
            case "UNSUBSCRIBE":
                return Received([reply], [], known)
        return Received([self.refusal], [], [])

    def cadence(self, channel: str) -> int:
        """Depth every 100 ms, summaries every second, the rest at once."""
        return _CADENCES.get(channel, 0)

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Raw-stream frames."""
        match topic.channel:
            case "depth@100ms" | "depth":
                return _depth_update(topic, moment)
            case "trade" | "aggTrade":
                return _trades(topic, moment)
            case "bookTicker":
                return _book_ticker(topic, moment)
            case _:
                return _summary(topic, moment)


def stream_topic(stream: str) -> Topic:
    """The topic of a stream name: `btcusdt@depth@100ms`."""
    market, _, channel = stream.partition("@")
    return Topic(channel, market.upper())


def exchange_info(listings: list[Listing], now_us: int) -> dict[str, Any]:
    """The market list."""
    return {
        "timezone": "UTC",
        "serverTime": now_us // 1000,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_symbol_info(listing) for listing in listings],
    }


def depth(moment: Moment, limit: int) -> dict[str, Any]:
    """The REST depth snapshot."""
    book = moment.book
    return {
        "lastUpdateId": book.update_id,
        "bids": moment.levels(book.bids.top(limit)),
        "asks": moment.levels(book.asks.top(limit)),
    }


def past_trades(moment: Moment, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Trades over REST, oldest first: from an id on, or the newest."""
    limit, from_id = int(query.get("limit", "500")), query.get("fromId")
    past = [x for x in moment.past if from_id is None or x.trade.trade_id >= int(from_id)]
    return [
        {
            "id": trade.trade_id,
            "price": moment.listing.price_text(trade.price),
            "qty": moment.listing.size_text(trade.size),
            "time": time_us // 1000,
            "isBuyerMaker": not trade.is_buy,
            "isBestMatch": True,
        }
        for trade, time_us in (past[-limit:] if from_id is None else past[:limit])
    ]


def _symbol_info(listing: Listing) -> dict[str, Any]:
    tick, lot = decimal_text(1, listing.price_digits), decimal_text(1, listing.size_digits)
    return {
        "symbol": listing.base + listing.quote,
        "status": "TRADING",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "orderTypes": ["LIMIT", "MARKET"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000.0", "stepSize": lot},
        ],
    }


def _depth_update(topic: Topic, moment: Moment) -> list[Frame]:
    delta = moment.delta
    if delta is None:
        return []
    timestamp_ms = moment.now_us // 1000
    update = {
        "e": "depthUpdate",
        "E": timestamp_ms,
        "s": topic.market,
        "U": delta.first,
        "u": delta.last,
        "b": moment.levels(delta.bids),
        "a": moment.levels(delta.asks),
    }
    return [
        Frame(
            orjson.dumps(update).decode(),
            moment.listing.symbol,
            "orderbook",
            "update",
            sequence=delta.last,
            previous=delta.first - 1,
            rows=len(delta.bids) + len(delta.asks),
            timestamp_ms=timestamp_ms,
            quote=moment.quote(),
            digest=moment.book.digest(),
        )
    ]


def _trades(topic: Topic, moment: Moment) -> list[Frame]:
    frames = []
    now_ms = moment.now_us // 1000
    for trade in moment.trades:
        price, size = moment.listing.price_text(trade.price), moment.listing.size_text(trade.size)
        body: dict[str, Any] = {"e": topic.channel, "E": now_ms, "s": topic.market}
        body |= {"a": trade.trade_id} if topic.channel == "aggTrade" else {"t": trade.trade_id}
        body |= {"p": price, "q": size}
        if topic.channel == "aggTrade":
            body |= {"f": trade.trade_id, "l": trade.trade_id}
        # `m`: the buyer was the maker, so the taker sold
        body |= {"T": now_ms, "m": not trade.is_buy, "M": True}
        frames.append(trade_frame(moment, trade, orjson.dumps(body).decode()))
    return frames


def _book_ticker(topic: Topic, moment: Moment) -> list[Frame]:
    quote = moment.quote()
    if quote is None or not moment.is_best_changed:
        return []
    body = {
        "u": moment.book.update_id,
        "s": topic.market,
        "b": quote.bid,
        "B": quote.bid_size,
        "a": quote.ask,
        "A": quote.ask_size,
    }
    text = orjson.dumps(body).decode()
    return [Frame(text, moment.listing.symbol, "bookTicker", "quote", sequence=moment.book.update_id, quote=quote)]


def _summary(topic: Topic, moment: Moment) -> list[Frame]:
    quote, day, listing, now_ms = moment.quote(), moment.day, moment.listing, moment.now_us // 1000
    if quote is None:
        return []
    body: dict[str, Any] = {
        "e": "24hrMiniTicker" if topic.channel == "miniTicker" else "24hrTicker",
        "E": now_ms,
        "s": topic.market,
        "c": listing.price_text(day.last),
        "o": listing.price_text(day.open),
        "h": listing.price_text(day.high),
        "l": listing.price_text(day.low),
        "v": listing.size_text(day.volume),
        "q": decimal_text(day.turnover, listing.price_digits + listing.size_digits),
    }
    if topic.channel == "ticker":
        average = day.turnover // day.volume if day.volume else day.last
        body |= {
            "p": f"{(day.last - day.open) / 10**listing.price_digits:.{listing.price_digits}f}",
            "P": f"{(day.last / day.open - 1) * 100:.3f}",
            "w": listing.price_text(average),
            "x": listing.price_text(day.open),
            "Q": listing.size_text(1),
            "b": quote.bid,
            "B": quote.bid_size,
            "a": quote.ask,
            "A": quote.ask_size,
            "O": now_ms - _DAY_MS,
            "C": now_ms,
            "F": day.trade_id,
            "L": day.trade_id,
            "n": 1,
        }
    return [
        Frame(
            orjson.dumps(body).decode(),
            listing.symbol,
            "ticker",
            "summary",
            timestamp_ms=now_ms,
            quote=quote if topic.channel == "ticker" else None,
            price=listing.price_text(day.last),
        )
    ]


BINANCE = BinanceSpot(
    "binance",
    frozenset({"api.binance.com", "fapi.binance.com", "dapi.binance.com", "eapi.binance.com", "stream.binance.com"}),
)
BINANCEUS = BinanceSpot("binanceus", frozenset({"api.binance.us", "www.binance.us", "stream.binance.us"}))
