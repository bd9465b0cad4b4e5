"""Coinbase Advanced Trade's public wire protocol: every message of a connection is numbered, control frames too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fluxforge_collector.simulator.book import Level
from fluxforge_collector.simulator.listing import Listing, decimal_text
from fluxforge_collector.simulator.market import Trade
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire, trade_frame

_CADENCES = {"level2": 5, "market_trades": 1, "ticker": 25, "ticker_batch": 250, "heartbeats": 50}
_LAST_TRADES = 100
_MOST_BOOKS = 30  # the real one takes 16 on a connection and refuses 32
_TOO_MANY = '{"type":"error","message":"too many L2 streams requested in a single session"}'
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Coinbase(Wire):
    """The protocol of Coinbase Advanced Trade's market data.

    A `-USDC` product is an alias: what was asked as `BTC-USDC` comes as `BTC-USD`.
    """

    exchange = "coinbase"
    hosts = frozenset({"advanced-trade-ws.coinbase.com", "api.coinbase.com"})
    refusal = '{"type":"error","message":"failure to subscribe"}'
    counter: str | None = '"sequence_num":-1'
    silent_s: float | None = 5.0

    def market_id(self, listing: Listing) -> str:
        """`BTC-USD`."""
        return f"{listing.base}-{listing.quote}"

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """Products, and the lists that ccxt reads beside them."""
        if path.endswith("/products"):
            is_spot = query.get("product_type", "SPOT") == "SPOT"
            products = _products([moment.listing for moment in moments.values()]) if is_spot else []
            return {"products": products, "num_products": len(products)}
        if path.startswith("/api/v3/brokerage/market/products/") and path.endswith("/ticker"):
            moment = moments.get(_alias(path.split("/")[-2], {name: m.listing for name, m in moments.items()}))
            return None if moment is None else {"trades": _past_trades(moment, query)}
        if path in {"/v2/currencies", "/v2/currencies/crypto"}:
            return {"data": []}
        if path == "/v2/exchange-rates":
            return {"data": {"currency": "USD", "rates": {}}}
        if path.endswith("/time"):
            return {"iso": _iso(now_us), "epochSeconds": str(now_us // 10**6), "epochMillis": str(now_us // 1000)}
        return None

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """One channel per message; the answer lists all that the connection has subscribed to."""
        message = orjson.loads(text)
        channel, is_subscribe = message["channel"], message["type"] == "subscribe"
        if not self.cadence(channel) or message["type"] not in {"subscribe", "unsubscribe"}:
            return Received([self.refusal], [], [])
        asked = [""] if channel == "heartbeats" else message.get("product_ids") or list(markets)
        known = [Topic(channel, _alias(market, markets)) for market in asked]
        known = [topic for topic in known if topic.market in markets or channel == "heartbeats"]
        if not known:
            return Received([self.refusal], [], [])
        after = subscribed | set(known) if is_subscribe else subscribed - set(known)
        if sum(topic.channel == "level2" for topic in after) > _MOST_BOOKS:
            return Received([_TOO_MANY], [], [])
        listed: dict[str, list[str]] = {}
        for topic in sorted(after):
            listed.setdefault(topic.channel, []).append(topic.market or "heartbeats")
        reply = _message("subscriptions", 0, [{"subscriptions": listed}])
        return Received([reply], known if is_subscribe else [], [] if is_subscribe else known)

    def cadence(self, channel: str) -> int:
        """Books every 100 ms, an order's fills in one batch, tickers every 500 ms or 5 s, heartbeats every second."""
        return _CADENCES.get(channel, 0)

    def beat(self, topic: Topic, now_us: int, count: int) -> Frame | None:
        """The heartbeat of a second."""
        event = {"current_time": str(_EPOCH + timedelta(microseconds=now_us)), "heartbeat_counter": count}
        return Frame(_message(topic.channel, now_us, [event]), "", "heartbeats", "heartbeat")

    def snapshot(self, topic: Topic, moment: Moment) -> Frame | None:
        """The whole book, however large; the last trades, where there are any."""
        if topic.channel == "market_trades":
            return _last_trades(moment) if moment.past else None
        if topic.channel != "level2":
            return None
        book = moment.book
        return _book(moment, "snapshot", book.bids.top(len(book.bids.keys)), book.asks.top(len(book.asks.keys)))

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Frames of a topic."""
        match topic.channel:
            case "level2":
                delta = moment.delta
                return [] if delta is None else [_book(moment, "update", delta.bids, delta.asks)]
            case "market_trades":
                return _trades(moment)
            case _:
                return _ticker(topic, moment)


def _alias(market: str, markets: Mapping[str, Listing]) -> str:
    """Whose book is meant: a `-USDC` product and its `-USD` twin share one, under whichever name it is listed."""
    base, _, quote = market.partition("-")
    twin = f"{base}-USD" if quote == "USDC" else f"{base}-USDC"
    return twin if twin in markets and (quote == "USDC" or market not in markets) else market


def _product_id(listing: Listing) -> str:
    return f"{listing.base}-{'USD' if listing.quote == 'USDC' else listing.quote}"


def _iso(now_us: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=now_us)).strftime('%Y-%m-%dT%H:%M:%S.%f')}Z"


def _message(channel: str, now_us: int, events: list[dict[str, Any]]) -> str:
    body = {"channel": channel, "client_id": "", "timestamp": _iso(now_us), "sequence_num": -1, "events": events}
    return orjson.dumps(body).decode()


def _products(listings: list[Listing]) -> list[dict[str, Any]]:
    listed = {f"{x.base}-{x.quote}": x for x in listings}
    listed |= {_product_id(x): x._replace(quote="USD") for x in listings if x.quote == "USDC"} | listed
    return [
        {
            "product_id": product,
            "product_type": "SPOT",
            "base_currency_id": x.base,
            "quote_currency_id": x.quote,
            "base_increment": decimal_text(1, x.size_digits),
            "price_increment": decimal_text(1, x.price_digits),
            "quote_increment": decimal_text(1, x.price_digits),
            "base_min_size": decimal_text(1, x.size_digits),
            "base_max_size": "3400",
            "quote_min_size": "1",
            "quote_max_size": "50000000",
            "status": "online",
            "trading_disabled": False,
            "alias": f"{x.base}-USD" if x.quote == "USDC" else "",
            "alias_to": [],
        }
        for product, x in listed.items()
    ]


def _book(moment: Moment, kind: str, bids: list[Level], asks: list[Level]) -> Frame:
    time = _iso(moment.now_us)
    updates = [*_updates(moment, "bid", time, bids), *_updates(moment, "offer", time, asks)]
    event = {"type": kind, "product_id": _product_id(moment.listing), "updates": updates}
    return Frame(
        _message("l2_data", moment.now_us, [event]),
        moment.listing.symbol,
        "orderbook",
        kind,
        rows=len(updates),
        timestamp_ms=moment.now_us // 1000,
        quote=moment.quote(),
        digest=moment.book.digest(),
    )


def _updates(moment: Moment, side: str, time: str, levels: list[Level]) -> Iterable[dict[str, str]]:
    for price, size in moment.levels(levels):
        yield {"side": side, "event_time": time, "price_level": price, "new_quantity": size}


def _trades(moment: Moment) -> list[Frame]:
    if not moment.trades:
        return []
    listing = moment.listing
    rows = [_trade_row(listing, trade, moment.now_us) for trade in reversed(moment.trades)]
    text = _message("market_trades", moment.now_us, [{"type": "update", "trades": rows}])
    parts = tuple(trade_frame(moment, trade, "") for trade in moment.trades)
    return [Frame(text, listing.symbol, "trades", "update", rows=len(rows), parts=parts)]


def _last_trades(moment: Moment) -> Frame:
    """The trades that open a subscription: those from before it, under no channel of ours, for nobody missed them."""
    rows = [_trade_row(moment.listing, trade, time_us) for trade, time_us in reversed([*moment.past][-_LAST_TRADES:])]
    text = _message("market_trades", moment.now_us, [{"type": "snapshot", "trades": rows}])
    return Frame(text, moment.listing.symbol, "market_trades", "snapshot", rows=len(rows))


def _past_trades(moment: Moment, query: Mapping[str, str]) -> list[dict[str, str]]:
    """Trades over REST, newest first, of a span of whole seconds."""
    start_us, end_us = (int(query.get(key, "0")) * 10**6 for key in ("start", "end"))
    past = [x for x in moment.past if start_us <= x.time_us < (end_us or moment.now_us + 1)]
    newest = reversed(past[-int(query.get("limit", "100")) :])
    return [_trade_row(moment.listing, trade, time_us) for trade, time_us in newest]


def _trade_row(listing: Listing, trade: Trade, time_us: int) -> dict[str, str]:
    return {
        "trade_id": str(trade.trade_id),
        "product_id": _product_id(listing),
        "price": listing.price_text(trade.price),
        "size": listing.size_text(trade.size),
        "time": _iso(time_us),
        "side": "SELL" if trade.is_buy else "BUY",  # the maker's
    }


def _ticker(topic: Topic, moment: Moment) -> list[Frame]:
    quote, day, listing = moment.quote(), moment.day, moment.listing
    if quote is None:
        return []
    row = {
        "type": "ticker",
        "product_id": _product_id(listing),
        "price": listing.price_text(day.last),
        "volume_24_h": listing.size_text(day.volume),
        "low_24_h": listing.price_text(day.low),
        "high_24_h": listing.price_text(day.high),
        "low_52_w": listing.price_text(day.low),
        "high_52_w": listing.price_text(day.high),
        "price_percent_chg_24_h": f"{(day.last / day.open - 1) * 100:.6f}",
    }
    if topic.channel == "ticker":
        row |= {
            "best_bid": quote.bid,
            "best_bid_quantity": quote.bid_size,
            "best_ask": quote.ask,
            "best_ask_quantity": quote.ask_size,
        }
    text = _message(topic.channel, moment.now_us, [{"type": "update", "tickers": [row]}])
    now_ms = moment.now_us // 1000
    return [Frame(text, listing.symbol, "ticker", "summary", timestamp_ms=now_ms, quote=quote, price=row["price"])]
