"""Kraken's public wire protocol, version 2: books of a fixed depth with a checksum over their digits, and no ids."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fluxforge_collector.simulator.book import Book, Level, Side
from fluxforge_collector.simulator.listing import Listing, decimal_text
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire, trade_frame

_CADENCES = {"trade": 1, "ticker": 1, "heartbeat": 50}
_BOOK = "book-"
_BOOK_CADENCE = 5
_DEPTHS = (10, 25, 100, 500, 1000)
_HEARTBEAT = Topic("heartbeat", "")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASSETS = {"BTC": "XXBT", "ETH": "XETH", "XRP": "XXRP", "DOGE": "XXDG", "LTC": "XLTC", "USD": "ZUSD"}
_NAMES = {"BTC": "XBT", "DOGE": "XDG"}  # as Kraken's older names spell them
_MOST_TRADES = 1000


class Kraken(Wire):
    """The protocol of Kraken's public endpoint. Prices and sizes are numbers, their trailing zeros sent too."""

    exchange = "kraken"
    hosts = frozenset({"api.kraken.com", "ws.kraken.com"})
    refusal = '{"error":"Currency pair not supported","method":"subscribe","req_id":0,"success":false}'
    greeting: str | None = (
        '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2",'
        '"connection_id":6447481662169813000}]}'
    )

    def market_id(self, listing: Listing) -> str:
        """`BTC/USD`, as its websocket has it."""
        return listing.symbol

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """Assets, pairs, trades of the past, clock."""
        listings = [moment.listing for moment in moments.values()]
        if path == "/0/public/Assets":
            return _answer({_asset(name): _asset_info(name) for x in listings for name in (x.base, x.quote)})
        if path == "/0/public/AssetPairs":
            return _answer({_pair(listing): _pair_info(listing) for listing in listings})
        if path == "/0/public/Trades":
            moment = next((m for m in moments.values() if _pair(m.listing) == query.get("pair")), None)
            if moment is None:
                return {"error": ["EQuery:Unknown asset pair"]}
            return _answer(_past_trades(moment, query))
        if path == "/0/public/Time":
            return _answer({"unixtime": now_us // 10**6})
        return None

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """Acknowledge each symbol; an unknown one is refused by itself."""
        del subscribed
        message = orjson.loads(text)
        method, number = message["method"], message.get("req_id")
        if method == "ping":
            return Received([orjson.dumps({"method": "pong", "req_id": number}).decode()], [], [])
        asked = message["params"]
        depth = asked.get("depth", _DEPTHS[0])
        channel = f"{_BOOK}{depth}" if asked["channel"] == "book" else asked["channel"]
        if method not in {"subscribe", "unsubscribe"} or not self.cadence(channel):
            return Received([self.refusal], [], [])
        replies: list[dict[str, Any]] = []
        topics: list[Topic] = []
        for symbol in asked["symbol"]:
            if symbol not in markets:
                error = f"Currency pair not supported {symbol}"
                replies.append({"error": error, "method": method, "req_id": number, "success": False, "symbol": symbol})
                continue
            result = {"channel": asked["channel"], "symbol": symbol, "snapshot": asked["channel"] == "book"}
            result |= {"depth": depth} if asked["channel"] == "book" else {}
            replies.append({"method": method, "req_id": number, "result": result, "success": True})
            topics.append(Topic(channel, symbol))
        texts = [orjson.dumps(reply).decode() for reply in replies]
        is_subscribe = method == "subscribe"
        return Received(texts, [*topics, _HEARTBEAT] if is_subscribe and topics else [], [] if is_subscribe else topics)

    def cadence(self, channel: str) -> int:
        """Books every 100 ms where they change, heartbeats every second, trades at once, and tickers with them."""
        if channel.startswith(_BOOK):
            return _BOOK_CADENCE if self.depth(channel) in _DEPTHS else 0
        return _CADENCES.get(channel, 0)

    def depth(self, channel: str) -> int:
        """The depth subscribed to."""
        return int(channel.removeprefix(_BOOK)) if channel.startswith(_BOOK) else 0

    def beat(self, topic: Topic, now_us: int, count: int) -> Frame | None:
        """The heartbeat of a second."""
        del now_us, count
        return Frame(f'{{"channel":"{topic.channel}"}}', "", topic.channel, "heartbeat")

    def snapshot(self, topic: Topic, moment: Moment) -> Frame | None:
        """The book as deep as it was asked for; without a time."""
        depth = self.depth(topic.channel)
        if not depth:
            return None
        return _book(moment, "snapshot", moment.book.bids.top(depth), moment.book.asks.top(depth))

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Frames of a topic."""
        if topic.channel == "trade":
            return _trades(moment)
        if topic.channel == "ticker":
            return _ticker(moment)
        delta, book = moment.delta, moment.book
        if delta is None:
            return []
        return [_book(moment, "update", _told(delta.bids, book.bids), _told(delta.asks, book.asks))]


def _told(changes: list[Level], side: Side) -> list[Level]:
    """The changes without levels only pushed out of the depth: a client cuts those off by itself."""
    return [(price, size) for price, size in changes if size or price not in side.sizes]


def _answer(result: dict[str, Any]) -> dict[str, Any]:
    return {"error": [], "result": result}


def _asset(name: str) -> str:
    return _ASSETS.get(name, name)


def _pair(listing: Listing) -> str:
    return _asset(listing.base) + _asset(listing.quote)


def _asset_info(name: str) -> dict[str, Any]:
    altname = _NAMES.get(name, name)
    return {"aclass": "currency", "altname": altname, "decimals": 10, "display_decimals": 5, "status": "enabled"}


def _pair_info(listing: Listing) -> dict[str, Any]:
    base, quote = (_NAMES.get(name, name) for name in (listing.base, listing.quote))
    return {
        "altname": base + quote,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": _asset(listing.base),
        "aclass_quote": "currency",
        "quote": _asset(listing.quote),
        "pair_decimals": listing.price_digits,
        "cost_decimals": 5,
        "lot_decimals": listing.size_digits,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "ordermin": decimal_text(1, listing.size_digits),
        "costmin": "0.5",
        "tick_size": decimal_text(1, listing.price_digits),
        "status": "online",
    }


def _past_trades(moment: Moment, query: Mapping[str, str]) -> dict[str, Any]:
    """Trades over REST, oldest first: since a time in seconds or nanoseconds, or the newest."""
    count, since = int(query.get("count", _MOST_TRADES)), query.get("since")
    since_us = None if since is None else int(float(since) * 1e6) if len(since) < 15 else int(since) // 1000
    past = [x for x in moment.past if since_us is None or x.time_us > since_us]
    past = past[-count:] if since_us is None else past[:count]
    rows = [
        [
            moment.listing.price_text(trade.price),
            moment.listing.size_text(trade.size),
            time_us / 1e6,
            "b" if trade.is_buy else "s",
            "l",
            "",
            trade.trade_id,
        ]
        for trade, time_us in past
    ]
    return {_pair(moment.listing): rows, "last": str(past[-1].time_us * 1000 if past else since or 0)}


def _checksum(book: Book) -> int:
    """CRC32 over the digits of the ten best asks, then bids: ticks and lots are those digits."""
    levels = book.asks.top(10) + book.bids.top(10)
    return zlib.crc32("".join(f"{price}{size}" for price, size in levels).encode())


def _book(moment: Moment, kind: str, bids: list[Level], asks: list[Level]) -> Frame:
    is_snapshot = kind == "snapshot"
    levels = (
        ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in moment.levels(side)) for side in (bids, asks)
    )
    sides = ",".join(f'"{name}":[{text}]' for name, text in zip(("bids", "asks"), levels, strict=True))
    stamp = "" if is_snapshot else f',"timestamp":"{_iso(moment.now_us)}"'
    data = f'{{"symbol":"{moment.listing.symbol}",{sides},"checksum":{_checksum(moment.book)}{stamp}}}'
    return Frame(
        f'{{"channel":"book","type":"{kind}","data":[{data}]}}',
        moment.listing.symbol,
        "orderbook",
        kind,
        rows=len(bids) + len(asks),
        timestamp_ms=None if is_snapshot else moment.now_us // 1000,
        quote=moment.quote(),
        digest=moment.book.digest(),
    )


def _trades(moment: Moment) -> list[Frame]:
    if not moment.trades:
        return []
    listing = moment.listing
    rows = [
        f'{{"symbol":"{listing.symbol}","side":"{"buy" if trade.is_buy else "sell"}",'
        f'"price":{listing.price_text(trade.price)},"qty":{listing.size_text(trade.size)},'
        f'"ord_type":"market","trade_id":{trade.trade_id},"timestamp":"{_iso(moment.now_us)}"}}'
        for trade in moment.trades
    ]
    text = f'{{"channel":"trade","type":"update","data":[{",".join(rows)}]}}'
    parts = tuple(trade_frame(moment, trade, "") for trade in moment.trades)
    return [Frame(text, listing.symbol, "trades", "update", rows=len(rows), parts=parts)]


def _ticker(moment: Moment) -> list[Frame]:
    quote, day, listing = moment.quote(), moment.day, moment.listing
    if quote is None or not moment.trades:
        return []
    last = listing.price_text(day.last)
    average = day.turnover // day.volume if day.volume else day.last
    row = {
        "bid": quote.bid,
        "bid_qty": quote.bid_size,
        "ask": quote.ask,
        "ask_qty": quote.ask_size,
        "last": last,
        "volume": listing.size_text(day.volume),
        "vwap": listing.price_text(average),
        "low": listing.price_text(day.low),
        "high": listing.price_text(day.high),
        "change": f"{(day.last - day.open) / 10**listing.price_digits:.{listing.price_digits}f}",
        "change_pct": f"{(day.last / day.open - 1) * 100:.2f}",
    }
    numbers = ",".join(f'"{name}":{value}' for name, value in row.items())
    text = f'{{"channel":"ticker","type":"update","data":[{{"symbol":"{listing.symbol}",{numbers}}}]}}'
    return [Frame(text, listing.symbol, "ticker", "summary", quote=quote, price=last)]


def _iso(now_us: int) -> str:
    return f"{(_EPOCH + timedelta(microseconds=now_us)).strftime('%Y-%m-%dT%H:%M:%S.%f')}Z"
