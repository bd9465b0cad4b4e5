"""OKX v5's public wire protocol: snapshot and updates in band with `prevSeqId`/`seqId`, text pings."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from fluxforge_collector.simulator.listing import Listing, decimal_text
from fluxforge_collector.simulator.market import Trade
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire, trade_frame

_CADENCES = {"books": 5, "books5": 5, "bbo-tbt": 1, "trades": 1, "tickers": 10}
_CONNECTION = "a4d3ae55"


class Okx(Wire):
    """The protocol of OKX's public endpoint."""

    exchange = "okx"
    hosts = frozenset({"www.okx.com", "okx.com", "ws.okx.com"})
    refusal = '{"event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}'

    def market_id(self, listing: Listing) -> str:
        """`BTC-USDT`."""
        return f"{listing.base}-{listing.quote}"

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """Market list, depth, trades of the past, clock."""
        now = str(now_us // 1000)
        if path == "/api/v5/public/instruments":
            is_spot = query.get("instType") == "SPOT"
            return _answer([_instrument(m.listing) for m in moments.values()] if is_spot else [])
        if path == "/api/v5/public/time":
            return _answer([{"ts": now}])
        if path not in {"/api/v5/market/books", "/api/v5/market/trades", "/api/v5/market/history-trades"}:
            return None
        moment = moments.get(query.get("instId", ""))
        if moment is None:
            return {"code": "51001", "msg": "Instrument ID does not exist", "data": []}
        if path.endswith("/books"):
            return _answer([_book(moment, int(query.get("sz", "1"))) | {"ts": now}])
        return _answer(_past_trades(moment, query))

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """Acknowledge each argument; an unknown instrument is refused by itself."""
        del subscribed
        if text == "ping":
            return Received(["pong"], [], [])
        message = orjson.loads(text)
        if message["op"] not in {"subscribe", "unsubscribe"}:
            return Received([self.refusal], [], [])
        begin: list[Topic] = []
        end: list[Topic] = []
        replies = []
        for arg in message["args"]:
            topic = Topic(arg["channel"], arg.get("instId", ""))
            if topic.market not in markets or not self.cadence(topic.channel):
                refusal = f"Wrong URL or channel:{topic.channel},instId:{topic.market} doesn't exist."
                replies.append({"event": "error", "code": "60018", "msg": refusal, "connId": _CONNECTION})
                continue
            replies.append({"event": message["op"], "arg": arg, "connId": _CONNECTION})
            (begin if message["op"] == "subscribe" else end).append(topic)
        return Received([orjson.dumps(reply).decode() for reply in replies], begin, end)

    def cadence(self, channel: str) -> int:
        """Books every 100 ms, tickers every 200 ms, the rest at once."""
        return _CADENCES.get(channel, 0)

    def snapshot(self, topic: Topic, moment: Moment) -> Frame | None:
        """The book as it stands; `prevSeqId` is -1."""
        if topic.channel != "books":
            return None
        # what changed since the last publication is told by the next update: the snapshot is taken right after one
        body = _book(moment, 400) | _stamps(moment, moment.book.published_id, -1)
        return _book_frame(topic, moment, body, "snapshot")

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Frames of a topic."""
        match topic.channel:
            case "books":
                return _update(topic, moment)
            case "books5" | "bbo-tbt":
                return _top(topic, moment)
            case "trades":
                return _trades(topic, moment)
            case _:
                return _ticker(topic, moment)


def _answer(data: list[Any]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": data}


def _instrument(listing: Listing) -> dict[str, Any]:
    lot = decimal_text(1, listing.size_digits)
    return {
        "instType": "SPOT",
        "instId": f"{listing.base}-{listing.quote}",
        "baseCcy": listing.base,
        "quoteCcy": listing.quote,
        "settleCcy": "",
        "state": "live",
        "tickSz": decimal_text(1, listing.price_digits),
        "lotSz": lot,
        "minSz": lot,
        "listTime": "1548133413000",
        "uly": "",
        "lever": "10",
        "ctVal": "",
    }


def _past_trades(moment: Moment, query: Mapping[str, str]) -> list[dict[str, str]]:
    """Trades over REST, newest first: before an id, or the newest."""
    limit, after = int(query.get("limit", "100")), query.get("after")
    past = [x for x in moment.past if after is None or x.trade.trade_id < int(after)]
    return [_trade_row(moment, trade, time_us) for trade, time_us in reversed(past[-limit:])]


def _trade_row(moment: Moment, trade: Trade, time_us: int) -> dict[str, str]:
    return {
        "instId": moment.listing.base + "-" + moment.listing.quote,
        "tradeId": str(trade.trade_id),
        "px": moment.listing.price_text(trade.price),
        "sz": moment.listing.size_text(trade.size),
        "side": "buy" if trade.is_buy else "sell",
        "ts": str(time_us // 1000),
    }


def _levels(moment: Moment, levels: list[tuple[int, int]]) -> list[list[str]]:
    return [[*texts, "0", "1" if level[1] else "0"] for texts, level in zip(moment.levels(levels), levels, strict=True)]


def _book(moment: Moment, limit: int) -> dict[str, Any]:
    book = moment.book
    return {"asks": _levels(moment, book.asks.top(limit)), "bids": _levels(moment, book.bids.top(limit))}


def _stamps(moment: Moment, sequence: int, previous: int) -> dict[str, Any]:
    # the real feed sends checksum 0 on every frame
    return {"ts": str(moment.now_us // 1000), "checksum": 0, "seqId": sequence, "prevSeqId": previous}


def _book_frame(topic: Topic, moment: Moment, body: dict[str, Any], action: str) -> Frame:
    envelope = {"arg": {"channel": topic.channel, "instId": topic.market}, "action": action, "data": [body]}
    return Frame(
        orjson.dumps(envelope).decode(),
        moment.listing.symbol,
        "orderbook",
        action,
        sequence=body["seqId"],
        previous=body["prevSeqId"],
        rows=len(body["asks"]) + len(body["bids"]),
        timestamp_ms=moment.now_us // 1000,
        quote=moment.quote(),
        digest=moment.book.digest(),
    )


def _update(topic: Topic, moment: Moment) -> list[Frame]:
    delta = moment.delta
    if delta is None:
        return []
    body = {"asks": _levels(moment, delta.asks), "bids": _levels(moment, delta.bids)}
    return [_book_frame(topic, moment, body | _stamps(moment, delta.last, delta.first - 1), "update")]


def _top(topic: Topic, moment: Moment) -> list[Frame]:
    if topic.channel == "bbo-tbt" and not moment.is_best_changed:
        return []
    body = _book(moment, 5 if topic.channel == "books5" else 1)
    body |= {"instId": topic.market, "ts": str(moment.now_us // 1000), "seqId": moment.book.update_id}
    text = orjson.dumps({"arg": {"channel": topic.channel, "instId": topic.market}, "data": [body]}).decode()
    symbol, quote = moment.listing.symbol, moment.quote()
    return [Frame(text, symbol, topic.channel, "quote", sequence=moment.book.update_id, quote=quote)]


def _trades(topic: Topic, moment: Moment) -> list[Frame]:
    frames = []
    for trade in moment.trades:
        row = _trade_row(moment, trade, moment.now_us) | {"count": "1", "seqId": moment.book.update_id}
        text = orjson.dumps({"arg": {"channel": topic.channel, "instId": topic.market}, "data": [row]}).decode()
        frames.append(trade_frame(moment, trade, text))
    return frames


def _ticker(topic: Topic, moment: Moment) -> list[Frame]:
    quote, day, listing = moment.quote(), moment.day, moment.listing
    if quote is None:
        return []
    row = {
        "instType": "SPOT",
        "instId": topic.market,
        "last": listing.price_text(day.last),
        "lastSz": listing.size_text(1),
        "askPx": quote.ask,
        "askSz": quote.ask_size,
        "bidPx": quote.bid,
        "bidSz": quote.bid_size,
        "open24h": listing.price_text(day.open),
        "high24h": listing.price_text(day.high),
        "low24h": listing.price_text(day.low),
        "volCcy24h": decimal_text(day.turnover, listing.price_digits + listing.size_digits),
        "vol24h": listing.size_text(day.volume),
        "ts": str(moment.now_us // 1000),
    }
    text = orjson.dumps({"arg": {"channel": topic.channel, "instId": topic.market}, "data": [row]}).decode()
    now_ms = moment.now_us // 1000
    return [Frame(text, listing.symbol, "ticker", "summary", timestamp_ms=now_ms, quote=quote, price=row["last"])]
