"""Bybit v5's public spot wire protocol: books of a fixed depth whose updates count by one, and JSON pings."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from fluxforge_collector.simulator.book import Level
from fluxforge_collector.simulator.listing import Listing, decimal_text
from fluxforge_collector.simulator.wire import Frame, Moment, Received, Topic, Wire, trade_frame

_CADENCES = {"publicTrade": 1, "tickers": 10, "orderbook.50": 5, "orderbook.200": 10}
_CONNECTION = "d266o6hqo29sqmnq4vk0-1yus1"
_MOST_ARGS = 10


class Bybit(Wire):
    """The protocol of Bybit's public spot endpoint."""

    exchange = "bybit"
    hosts = frozenset({"api.bybit.com", "stream.bybit.com"})
    refusal = '{"success":false,"ret_msg":"error:invalid op","conn_id":"d266o6hqo29sqmnq4vk0-1yus1","op":""}'

    def market_id(self, listing: Listing) -> str:
        """`BTCUSDT`."""
        return listing.base + listing.quote

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """Market list, trades of the past, clock."""
        is_spot, category = query.get("category") == "spot", query.get("category", "")
        if path == "/v5/market/instruments-info":
            listed = [_instrument(moment.listing) for moment in moments.values()] if is_spot else []
            return _answer({"category": category, "list": listed, "nextPageCursor": ""}, now_us)
        if path == "/v5/market/recent-trade":
            moment = moments.get(query.get("symbol", "")) if is_spot else None
            if moment is None:
                return {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "time": now_us // 1000}
            return _answer({"category": category, "list": _past_trades(moment, query)}, now_us)
        if path == "/v5/market/time":
            return _answer({"timeSecond": str(now_us // 10**6), "timeNano": str(now_us * 1000)}, now_us)
        return None

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """Answer a request as a whole: one wrong topic, or an eleventh, refuses it."""
        del subscribed
        message = orjson.loads(text)
        op, number = message["op"], message.get("req_id")
        if op == "ping":
            return Received([_reply(op, number, "pong")], [], [])
        if op not in {"subscribe", "unsubscribe"}:
            return Received([self.refusal], [], [])
        if len(message["args"]) > _MOST_ARGS:
            return Received([_reply(op, number, f"error:args size >{_MOST_ARGS}")], [], [])
        topics = [Topic(*arg.rpartition(".")[::2]) for arg in message["args"]]
        for topic, arg in zip(topics, message["args"], strict=True):
            if topic.market not in markets or not self.cadence(topic.channel):
                return Received([_reply(op, number, f"error:handler not found,topic:{arg}")], [], [])
        is_subscribe = op == "subscribe"
        return Received([_reply(op, number, op)], topics if is_subscribe else [], [] if is_subscribe else topics)

    def cadence(self, channel: str) -> int:
        """50 levels every 100 ms, 200 levels and tickers every 200 ms, trades at once."""
        return _CADENCES.get(channel, 0)

    def depth(self, channel: str) -> int:
        """The depth that a channel's name tells."""
        return int(channel.rpartition(".")[2]) if channel.startswith("orderbook.") else 0

    def snapshot(self, topic: Topic, moment: Moment) -> Frame | None:
        """The book as deep as the channel."""
        depth = self.depth(topic.channel)
        if not depth:
            return None
        return _book(topic, moment, "snapshot", moment.book.bids.top(depth), moment.book.asks.top(depth))

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Frames of a topic."""
        match topic.channel:
            case "publicTrade":
                return _trades(topic, moment)
            case "tickers":
                return _ticker(topic, moment)
            case _:
                delta = moment.delta
                return [] if delta is None else [_book(topic, moment, "delta", delta.bids, delta.asks)]


def _answer(result: dict[str, Any], now_us: int) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_us // 1000}


def _reply(op: str, number: Any, text: str) -> str:
    is_well = not text.startswith("error:")
    body = {"success": is_well, "ret_msg": text, "conn_id": _CONNECTION, "req_id": str(number or ""), "op": op}
    return orjson.dumps(body).decode()


def _instrument(listing: Listing) -> dict[str, Any]:
    lot = decimal_text(1, listing.size_digits)
    return {
        "symbol": listing.base + listing.quote,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "none",
        "lotSizeFilter": {
            "basePrecision": lot,
            "quotePrecision": "0.0000001",
            "minOrderQty": lot,
            "maxOrderQty": "9000",
            "minOrderAmt": "1",
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": decimal_text(1, listing.price_digits)},
    }


def _past_trades(moment: Moment, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """The newest trades over REST, newest first: at most sixty."""
    listing, limit = moment.listing, min(60, int(query.get("limit", "60")))
    return [
        {
            "execId": str(trade.trade_id),
            "symbol": listing.base + listing.quote,
            "price": listing.price_text(trade.price),
            "size": listing.size_text(trade.size),
            "side": "Buy" if trade.is_buy else "Sell",
            "time": str(time_us // 1000),
            "isBlockTrade": False,
        }
        for trade, time_us in reversed([*moment.past][-limit:])
    ]


def _book(topic: Topic, moment: Moment, kind: str, bids: list[Level], asks: list[Level]) -> Frame:
    now_ms, number = moment.now_us // 1000, moment.view_id
    data = {
        "s": topic.market,
        "b": moment.levels(bids),
        "a": moment.levels(asks),
        "u": number,
        "seq": moment.book.update_id,
    }
    body = {"topic": f"{topic.channel}.{topic.market}", "ts": now_ms, "type": kind, "data": data, "cts": now_ms}
    return Frame(
        orjson.dumps(body).decode(),
        moment.listing.symbol,
        "orderbook",
        kind,
        sequence=number,
        previous=None if kind == "snapshot" else number - 1,
        rows=len(bids) + len(asks),
        timestamp_ms=now_ms,
        quote=moment.quote(),
        digest=moment.book.digest(),
    )


def _trades(topic: Topic, moment: Moment) -> list[Frame]:
    if not moment.trades:
        return []
    listing, now_ms = moment.listing, moment.now_us // 1000
    rows = [
        {
            "i": str(trade.trade_id),
            "T": now_ms,
            "p": listing.price_text(trade.price),
            "v": listing.size_text(trade.size),
            "S": "Buy" if trade.is_buy else "Sell",
            "s": topic.market,
            "BT": False,
        }
        for trade in moment.trades
    ]
    body = {"topic": f"{topic.channel}.{topic.market}", "ts": now_ms, "type": "snapshot", "data": rows}
    parts = tuple(trade_frame(moment, trade, "") for trade in moment.trades)
    return [Frame(orjson.dumps(body).decode(), listing.symbol, "trades", "update", rows=len(rows), parts=parts)]


def _ticker(topic: Topic, moment: Moment) -> list[Frame]:
    day, listing, now_ms = moment.day, moment.listing, moment.now_us // 1000
    last = listing.price_text(day.last)
    row = {
        "symbol": topic.market,
        "lastPrice": last,
        "highPrice24h": listing.price_text(day.high),
        "lowPrice24h": listing.price_text(day.low),
        "prevPrice24h": listing.price_text(day.open),
        "volume24h": listing.size_text(day.volume),
        "turnover24h": decimal_text(day.turnover, listing.price_digits + listing.size_digits),
        "price24hPcnt": f"{day.last / day.open - 1:.6f}",
        "usdIndexPrice": last,
    }
    body = {"topic": f"{topic.channel}.{topic.market}", "ts": now_ms, "type": "snapshot", "cs": 1, "data": row}
    return [Frame(orjson.dumps(body).decode(), listing.symbol, "ticker", "summary", timestamp_ms=now_ms, price=last)]
