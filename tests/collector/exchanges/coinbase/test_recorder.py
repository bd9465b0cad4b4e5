"""Coinbase's recorder, frame by frame, without a socket."""

import itertools

import orjson
import pytest
from support.clock import HandClock

from fluxforge_collector.exchanges.coinbase.mapping import in_ccxt_form
from fluxforge_collector.exchanges.coinbase.messages import Level, read_trades
from fluxforge_collector.exchanges.coinbase.products import Product
from fluxforge_collector.exchanges.coinbase.recorder import CoinbaseRecorder
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.missing_trades import find
from fluxforge_collector.exchanges.sound import MOST_LEVELS
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import BookRecord, Channel, GapReason, GapRecord, TickerRecord, TradeRecord

TIME = "2023-02-09T20:32:50.714964Z"
TRADE = (
    '{"trade_id":"0","product_id":"BTC-USD","price":"10","size":"1","time":"2023-02-09T20:32:50.714964Z",'
    '"side":"BUY","bid":"","ask":""}'
)
STREAMS = [Stream(channel, "BTC/USD") for channel in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER)]


class Bench:
    """A recorder of one symbol on a connection, and what it has handed on."""

    def __init__(self, is_first=True, streams=tuple(STREAMS), has_backfill=False):
        self.clock, self.out, self.tally = HandClock(), [], Tally()
        ends = Ends(self.clock, self.out.append, itertools.count().__next__, itertools.count().__next__, self.tally)
        self.recorder = CoinbaseRecorder(
            streams,
            products={"BTC/USD": Product("BTC-USD", "BTC-USD")},
            depth=2,
            ends=ends,
            start=Start(self.clock.now_us, GapReason.SHUTDOWN, is_first=is_first),
            has_backfill=has_backfill,
        )
        self.streams, self.number = streams, 0
        self.connect()

    def connect(self):
        self.session = self.recorder.open("ws://x", self.streams)
        self.recorder.connected(self.session.connection)
        self.number = 0

    def frame(self, channel, *events, number=None, session=None):
        """One frame, 1 ms later, numbered as the next one; returns why the connection is of no more use."""
        self.clock.now_us += 1000
        if number is None:
            number, self.number = self.number, self.number + 1
        message = {"channel": channel, "timestamp": TIME, "sequence_num": number, "events": events}
        return self.recorder.receive(session or self.session, orjson.dumps(message))

    def book(self, kind, *levels, product="BTC-USD", **where):
        updates = [{"side": s, "price_level": str(p), "new_quantity": str(q)} for s, p, q in levels]
        return self.frame("l2_data", {"type": kind, "product_id": product, "updates": updates}, **where)

    def trades(self, *ids, kind="update", time=TIME, **where):
        rows = [
            {"trade_id": i, "product_id": "BTC-USD", "price": "10", "size": "1", "side": "BUY", "time": time}
            for i in ids
        ]
        return self.frame("market_trades", {"type": kind, "trades": rows}, **where)

    def subscribed(self, **products):
        return self.frame("subscriptions", {"subscriptions": products})

    def of(self, kind):
        return [record for record in self.out if isinstance(record, kind)]

    def outcomes(self):
        return {str(outcome): count for (_, outcome), count in self.tally.frames.items()}


def test_each_book_frame_is_a_state_of_its_own():
    bench = Bench()
    bench.book("snapshot", ("bid", 9, 1), ("bid", 8, 1), ("bid", 7, 1), ("offer", 10, 2))
    bench.book("update", ("bid", 9, 0), ("offer", 11, 3), ("offer", 99, 0))
    first, second = bench.of(BookRecord)
    assert (first.bids, first.asks) == ([9.0, 1.0, 8.0, 1.0], [10.0, 2.0])
    assert (second.bids, second.asks) == ([8.0, 1.0, 7.0, 1.0], [10.0, 2.0, 11.0, 3.0])
    assert [(r.nonce, r.timestamp_ms, r.seq) for r in (first, second)] == [(0, 1675974770714, 0), (1, 1675974770714, 1)]
    assert first.capture_us == second.capture_us - 1000
    assert bench.outcomes() == {"states": 2}
    assert bench.of(GapRecord) == []


def test_a_number_left_out_is_a_gap_of_every_stream_until_each_is_whole_again():
    bench = Bench()
    bench.subscribed(ticker=["BTC-USD"], market_trades=["BTC-USD"])
    bench.book("snapshot", ("bid", 9, 1))
    last = bench.clock.now_us
    bench.number += 1
    broken = bench.frame("heartbeats", {})
    assert (broken.reason, broken.detail) == (GapReason.SEQUENCE, "frame 3 follows 1")
    assert bench.book("update", ("bid", 9, 2)) is None
    lost = bench.session
    bench.connect()
    assert bench.frame("heartbeats", {}, session=lost) is None
    bench.book("update", ("bid", 9, 2))
    bench.subscribed(market_trades=["BTC-USD"])
    acknowledged = bench.clock.now_us
    bench.book("snapshot", ("bid", 9, 3))
    gaps = {gap.channel: (gap.gap_start_us, gap.gap_end_us, gap.reason) for gap in bench.of(GapRecord)}
    assert gaps == {
        "trades": (last, acknowledged, GapReason.SEQUENCE),
        "orderbook": (last, bench.clock.now_us, GapReason.SEQUENCE),
    }
    assert bench.outcomes() == {"control": 2, "states": 2, "resync": 1, "after_error": 2, "before_snapshot": 1}
    assert bench.tally.reconnects["coinbase"] == 1


@pytest.mark.parametrize("number", [0, 1])
def test_a_frame_that_came_before_is_passed_over(number):
    bench = Bench()
    bench.book("snapshot", ("bid", 9, 1))
    bench.trades("1")
    assert bench.book("update", ("bid", 9, 5), number=number) is None
    assert bench.trades("1", number=number) is None
    assert len(bench.of(BookRecord)) == len(bench.of(TradeRecord)) == 1
    assert bench.outcomes() == {"states": 1, "trades": 1, "stale_update": 1, "duplicate": 1}
    assert bench.of(GapRecord) == []


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b'{"channel":"l2_data"', "DataError: no JSON"),
        (b'{"channel":"l2_data","sequence_num":1}', "DataError: Object missing required field"),
        (b'{"type":"error","message":"failure to subscribe"}', "refused: failure to subscribe"),
    ],
)
def test_a_frame_that_is_none_condemns_its_connection(data, detail):
    bench = Bench()
    bench.book("snapshot", ("bid", 9, 1))
    broken = bench.recorder.receive(bench.session, data)
    assert broken.reason is GapReason.BAD_FRAME
    assert broken.detail.startswith(detail)
    assert broken.is_refusal is detail.startswith("refused")
    assert bench.session.connection.is_lost
    bench.recorder.stop()
    assert {gap.reason for gap in bench.of(GapRecord) if gap.channel == "orderbook"} == {GapReason.BAD_FRAME}
    assert bench.outcomes() == {"states": 1, "bad_frame": 1}


def test_a_bad_number_deep_in_a_ticker_condemns_too():
    bench = Bench()
    assert bench.frame("ticker", {"tickers": [{"product_id": "BTC-USD", "price": "10"}]}) is None
    broken = bench.frame("ticker", {"tickers": [{"product_id": "BTC-USD", "price": "nan"}]})
    assert broken == (GapReason.BAD_FRAME, "ValueError: nan is no finite number", False)
    assert len(bench.of(TickerRecord)) == 1


def test_trades_come_oldest_first_and_once():
    bench = Bench()
    bench.trades("3", "2", "1")
    bench.trades("4", "3")
    bench.trades("4")
    bench.trades()
    trades = bench.of(TradeRecord)
    assert [trade.trade_id for trade in trades] == ["1", "2", "3", "4"]
    assert {(trade.side, trade.backfilled) for trade in trades} == {("sell", False)}
    assert bench.outcomes() == {"trades": 2, "duplicate": 1, "control": 1}


def test_trades_from_before_a_subscription_are_left_to_be_fetched():
    bench = Bench(has_backfill=True)
    bench.trades("1")
    bench.recorder.lose(bench.session.connection, GapReason.DISCONNECT, "closed")
    bench.connect()
    bench.trades("3", "2", "1", kind="snapshot")
    bench.subscribed(market_trades=["BTC-USD"])
    bench.trades("5")
    (missing,) = bench.recorder.missing
    assert (missing.last.trade_id, missing.first) == ("1", 5)
    assert [trade.trade_id for trade in bench.of(TradeRecord)] == ["1", "5"]
    assert bench.outcomes() == {"trades": 2, "past": 1, "control": 1}
    assert bench.of(GapRecord) == []


def test_a_trade_fetched_again_is_a_record_like_one_that_came():
    bench = Bench(has_backfill=True)
    bench.trades("1", "0")
    bench.recorder.lose(bench.session.connection, GapReason.DISCONNECT, "closed")
    bench.connect()
    bench.subscribed(market_trades=["BTC-USD"])
    answer = TRADE.replace('"0"', '"1"') + "," + TRADE.replace('"0"', '"2"')
    fetched = [in_ccxt_form(trade) for trade in read_trades(f'{{"trades":[{answer}]}}'.encode())]
    (missing,) = bench.recorder.missing
    bench.recorder.restore(missing, find(missing, fetched, "counted"))
    came, restored = bench.of(TradeRecord)[1:]
    assert (came.trade_id, restored.trade_id, restored.backfilled, restored.conn) == ("1", "2", True, -1)
    apart = {"trade_id": "", "seq": 0, "conn": 0, "backfilled": False, "capture_us": 0, "collected_ms": 0}
    assert came._replace(**apart) == restored._replace(**apart)
    assert bench.of(GapRecord) == []


def test_what_was_not_asked_for_is_counted():
    bench = Bench(streams=tuple(STREAMS[1:]))
    bench.book("snapshot", ("bid", 9, 1))
    bench.book("snapshot", ("bid", 9, 1), product="../../etc")
    assert bench.outcomes() == {"not_asked": 2}
    assert bench.out == []


def test_a_book_that_grows_without_end_condemns_its_connection():
    bench = Bench()
    bench.book("snapshot", ("bid", 9, 1))
    bench.session.books["BTC/USD"].begin(Level("offer", 10.0 + n, 1.0) for n in range(MOST_LEVELS))
    assert bench.book("update", ("bid", 9, 2)) is None
    broken = bench.book("update", ("offer", 9.5, 2))
    assert broken == (GapReason.BAD_FRAME, "DataError: BTC/USD: more levels than any market has", False)


def test_books_that_did_not_come_are_named():
    bench = Bench()
    assert bench.recorder.missing_books(bench.session) == ["BTC/USD"]
    bench.book("snapshot", ("bid", 9, 1))
    assert bench.recorder.missing_books(bench.session) == []
