"""The recorder, frame by frame, without a socket."""

import itertools
import json
import zlib

import pytest

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.surroundings import Ends, Market, Start
from fluxforge_collector.metrics import Outcome, Tally
from fluxforge_collector.records import BookRecord, Channel, GapReason, GapRecord, TickerRecord, TradeRecord

BOOK, TRADES, TICKER = (Stream(c, "BTC/USDT") for c in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER))


class HandClock:
    """A clock turned by hand, in microseconds."""

    def __init__(self):
        self.us = 1_000_000_000

    def wall_us(self):
        return self.us

    def capture_us(self):
        return self.us

    def monotonic(self):
        return self.us / 1e6

    def step_us(self):
        return 0

    def anchor(self):
        pass


class Bench:
    """A recorder of one symbol, and what it has handed on."""

    def __init__(
        self, exchange="binanceus", asked=(BOOK, TRADES, TICKER), is_first=True, carried=(BOOK, TRADES, TICKER)
    ):
        self.clock, self.out, self.tally, self.carried = HandClock(), [], Tally(), carried
        ends = Ends(self.clock, self.out.append, itertools.count().__next__, itertools.count().__next__, self.tally)
        market = "BTCUSDT" if exchange == "binanceus" else "BTC-USDT"
        self.recorder = Recorder(
            exchange,
            asked,
            markets={"BTC/USDT": Market(market, None)},
            depth=2,
            dialect=dialect_of(exchange),
            ends=ends,
            start=Start(self.clock.us, GapReason.SHUTDOWN, is_first=is_first),
        )
        self.connection = self.connect()

    def connect(self, url="ws://x"):
        connection = self.recorder.dial(url)
        self.recorder.carry(connection, self.carried)
        self.recorder.connected(connection)
        return connection

    def frame(self, message, *steps, connection=None, text="{}"):
        """One frame 1 ms later; returns what its end says."""
        self.clock.us += 1000
        connection = connection or self.connection
        if not self.recorder.begin(connection, text):
            return None
        if self.recorder.judge(message):
            for step in steps:
                step(connection)
        return self.recorder.end()

    def state(self, nonce, message_hash="orderbook::BTC/USDT", symbol="BTC/USDT"):
        book = {"symbol": symbol, "nonce": nonce, "timestamp": 1, "bids": [[1.0, 1.0]] * 3, "asks": []}
        return lambda connection: self.recorder.book(connection, book, message_hash)

    def update(self, previous, last, *, state=True):
        message = {"e": "depthUpdate", "s": "BTCUSDT", "U": previous + 1, "u": last, "b": [], "a": []}
        return self.frame(message, *([self.state(last)] if state else []))

    def of(self, kind):
        return [record for record in self.out if isinstance(record, kind)]

    def outcomes(self):
        return {outcome: count for (_, outcome), count in self.tally.frames.items()}


def trade(trade_id="1", symbol="BTC/USDT"):
    return {"symbol": symbol, "id": trade_id, "price": 1.0, "amount": 1.0, "side": "buy", "timestamp": 1}


def test_states_follow_each_other_and_are_cut_to_the_depth():
    bench = Bench()
    for last in (10, 12, 15):
        assert bench.update(last - 2 if last < 15 else 12, last) is None
    books = bench.of(BookRecord)
    assert [book.nonce for book in books] == [10, 12, 15]
    assert books[0].bids == [1.0, 1.0, 1.0, 1.0]
    assert [book.capture_us for book in books] == sorted({book.capture_us for book in books})
    assert bench.outcomes() == {"states": 3}
    assert bench.of(GapRecord) == []


def test_a_connection_that_has_lost_the_snapshot_of_a_book_is_given_up_with_the_next_update():
    """ccxt leaves OKX's updates be until a snapshot comes, for ever."""
    bench = Bench("okx", asked=(BOOK,), carried=(BOOK,))
    message = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "update"}
    message["data"] = [{"bids": [], "asks": [], "prevSeqId": 7, "seqId": 9}]
    distrust = bench.frame(message)
    assert distrust == (GapReason.SEQUENCE, "BTC/USDT: update after 7 without a snapshot")
    assert bench.outcomes() == {"before_snapshot": 1}


@pytest.mark.parametrize(
    ("exchange", "number", "is_gap"),
    [
        pytest.param("okx", 9, False, id="of the state that came last"),
        pytest.param("okx", 14, True, id="of another one, as after a silence"),
        pytest.param("bybit", 10, False, id="of the next one, where ids count"),
        pytest.param("bybit", 1, True, id="after the exchange has begun to count anew"),
    ],
)
def test_a_snapshot_amid_a_stream_is_a_gap_where_states_may_lie_between(exchange, number, is_gap):
    """Nothing tells what was lost before it: it names no update that it follows."""
    bench = Bench(exchange, asked=(BOOK,), carried=(BOOK,))

    def snapshot(number):
        if exchange == "bybit":
            data = {"s": "BTC-USDT", "b": [], "a": [], "u": number}
            return {"topic": "orderbook.50.BTC-USDT", "type": "snapshot", "data": data}
        data = [{"bids": [], "asks": [], "prevSeqId": -1, "seqId": number}]
        return {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "snapshot", "data": data}

    bench.frame(snapshot(9), bench.state(9))
    before = bench.clock.us
    bench.clock.us += 11_000_000
    bench.frame(snapshot(number), bench.state(number))
    gaps = [(gap.gap_start_us, gap.gap_end_us, gap.reason) for gap in bench.of(GapRecord)]
    assert gaps == ([(before, bench.clock.us, GapReason.SEQUENCE)] if is_gap else [])
    assert bench.of(BookRecord)[-1].nonce == number


def test_a_break_without_a_state_is_a_gap_from_the_last_state_to_the_next():
    bench = Bench()
    bench.update(8, 10)
    before = bench.clock.us
    assert bench.update(11, 12, state=False) is None
    bench.update(12, 14, state=False)
    bench.update(14, 15)
    (gap,) = bench.of(GapRecord)
    assert (gap.channel, gap.reason) == ("orderbook", GapReason.SEQUENCE)
    assert (gap.gap_start_us, gap.gap_end_us) == (before, bench.clock.us)
    assert gap.detail == "update after 11 follows 10"
    assert bench.outcomes() == {"states": 2, "resync": 2}


def test_a_state_built_across_a_break_is_not_kept_and_condemns_its_connection():
    bench = Bench()
    bench.update(8, 10)
    assert bench.update(11, 12) == (GapReason.SEQUENCE, "BTC/USDT: update after 11 follows 10")
    assert [book.nonce for book in bench.of(BookRecord)] == [10]


def test_updates_before_the_snapshot_are_counted_and_are_no_gap_at_the_first_start():
    bench = Bench()
    bench.update(8, 10, state=False)
    bench.state(9)(bench.connection)
    bench.update(10, 11)
    assert bench.outcomes() == {"before_snapshot": 1, "states": 1}
    assert [book.nonce for book in bench.of(BookRecord)] == [9, 11]
    assert bench.of(GapRecord) == []


def test_an_update_older_than_the_state_is_stale_and_no_gap():
    bench = Bench()
    bench.update(8, 10)
    bench.update(8, 10, state=False)
    bench.update(10, 11)
    assert bench.outcomes() == {"states": 2, "stale_update": 1}
    assert bench.of(GapRecord) == []


def test_an_older_snapshot_never_turns_the_book_back():
    bench = Bench()
    bench.update(8, 10)
    bench.state(7)(bench.connection)
    bench.update(10, 11)
    assert [book.nonce for book in bench.of(BookRecord)] == [10, 11]


def test_a_snapshot_of_the_state_kept_last_is_not_kept_again_but_ends_the_gap():
    bench = Bench()
    bench.update(8, 10)
    before = bench.clock.us
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    again = bench.connect()
    bench.clock.us += 5000
    bench.state(10)(again)
    assert [book.nonce for book in bench.of(BookRecord)] == [10]
    assert [(gap.gap_start_us, gap.gap_end_us) for gap in bench.of(GapRecord)] == [(before, bench.clock.us)]


def okx(action, number, previous):
    """A message of OKX's books."""
    data = {"bids": [], "asks": [], "seqId": number, "prevSeqId": previous}
    return {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [data]}


def test_a_snapshot_sent_twice_is_kept_once_and_no_gap():
    bench = Bench("okx")
    for _ in range(2):
        assert bench.frame(okx("snapshot", 10, -1), bench.state(10)) is None
    bench.frame(okx("update", 12, 10), bench.state(12))
    assert [book.nonce for book in bench.of(BookRecord)] == [10, 12]
    assert bench.outcomes() == {"states": 2, "duplicate": 1}
    assert [gap for gap in bench.of(GapRecord) if gap.channel == "orderbook"] == []


def test_a_snapshot_with_a_price_that_is_none_below_the_depth_is_not_kept():
    bench = Bench("okx")
    levels = [[1.0, 1.0], [0.9, 1.0], [0.8, 1.0], [float("nan"), 1.0]]
    book = {"symbol": "BTC/USDT", "nonce": 10, "timestamp": 1, "bids": levels, "asks": []}
    with pytest.raises(DataError, match="not finite"):
        bench.frame(okx("snapshot", 10, -1), lambda connection: bench.recorder.book(connection, book, "x"))
    assert bench.of(BookRecord) == []


def test_one_state_under_two_names_is_one_record_and_two_states_in_a_frame_are_two():
    bench = Bench()
    bench.frame({}, bench.state(1, "level2::BTC/USDT"), bench.state(1, "level2::BTC/USDTC"))
    assert len(bench.of(BookRecord)) == 1
    bench.frame({}, bench.state(2), bench.state(3))
    assert [book.nonce for book in bench.of(BookRecord)] == [1, 2, 3]


@pytest.mark.parametrize("symbol", ["ETH/USDT", "../../etc/x", "", "BTC/USDT\0"])
def test_a_book_that_was_not_asked_for_is_counted(symbol):
    bench = Bench()
    bench.frame({}, bench.state(1, symbol=symbol))
    assert bench.outcomes() == {"not_asked": 1}
    assert bench.out == []


def test_trades_are_kept_once_by_id():
    bench = Bench()
    once = [lambda c, i=i: bench.recorder.trade(c, trade(i)) for i in ("1", "2", "1")]
    bench.frame({}, *once)
    bench.frame({}, once[0])
    bench.frame({}, lambda c: bench.recorder.trade(c, trade(None)), lambda c: bench.recorder.trade(c, trade(None)))
    assert [t.trade_id for t in bench.of(TradeRecord)] == ["1", "2", None, None]
    assert bench.outcomes() == {"trades": 2, "duplicate": 1}


def test_a_ticker_handed_out_twice_counts_once():
    bench = Bench()
    ticker = {"symbol": "BTC/USDT", "bid": 1.0, "last": 1.0}
    bench.frame({}, *[lambda c: bench.recorder.ticker(c, ticker)] * 2)
    bench.frame({}, lambda c: bench.recorder.ticker(c, ticker | {"last": 2.0}))
    assert len(bench.of(TickerRecord)) == 2


def test_a_ticker_sent_twice_is_kept_once():
    bench = Bench()
    for last, timestamp in ((1.0, 5), (1.0, 5), (2.0, 5), (2.0, 6), (2.0, None), (2.0, None)):
        ticker = {"symbol": "BTC/USDT", "bid": 1.0, "last": last, "timestamp": timestamp}
        bench.frame({}, lambda c, ticker=ticker: bench.recorder.ticker(c, ticker))
    assert [(record.last, record.timestamp_ms) for record in bench.of(TickerRecord)] == [
        (1.0, 5),
        (2.0, 5),
        (2.0, 6),
        (2.0, None),
    ]
    assert bench.outcomes() == {"tickers": 4, "duplicate": 2}


def test_a_lost_connection_is_a_gap_of_every_stream_since_it_last_brought_data():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10)
    last = bench.clock.us
    bench.clock.us += 5_000_000
    bench.recorder.lose(bench.connection, GapReason.STALE, "no data")
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    assert bench.frame({}, bench.state(11)) is None
    fresh = bench.connect()
    bench.frame({"result": None, "id": 1}, connection=fresh)
    acknowledged = bench.clock.us
    bench.frame({}, bench.state(20), connection=fresh)
    gaps = {gap.channel: gap for gap in bench.of(GapRecord)}
    assert {gap.reason for gap in gaps.values()} == {GapReason.STALE}
    assert {gap.gap_start_us for gap in gaps.values()} == {last}
    assert {channel: gap.gap_end_us for channel, gap in gaps.items()} == {
        "trades": acknowledged,
        "ticker": acknowledged,
        "orderbook": bench.clock.us,
    }
    assert bench.outcomes() == {"states": 2, "after_error": 1, "control": 2}
    assert bench.tally.reconnects["binanceus"] == 1


def test_a_connection_lost_after_a_snapshot_is_a_gap_since_the_snapshot_not_since_the_frame_before_it():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10, state=False)
    bench.clock.us += 300_000
    bench.state(12)(bench.connection)
    fetched = bench.clock.us
    bench.clock.us += 15_000_000
    bench.recorder.lose(bench.connection, GapReason.STALE, "no data")
    bench.recorder.stop()
    (gap,) = (gap for gap in bench.of(GapRecord) if gap.channel == "orderbook")
    assert gap.gap_start_us == fetched


def test_a_bad_frame_loses_its_connection():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10)
    bench.recorder.begin(bench.connection, "{half")
    bench.recorder.spoil(ValueError("half a frame"))
    bench.recorder.stop()
    gaps = bench.of(GapRecord)
    assert sorted(gap.channel for gap in gaps) == ["orderbook", "ticker", "trades"]
    book = next(gap for gap in gaps if gap.channel == "orderbook")
    assert (book.reason, book.detail) == (GapReason.BAD_FRAME, "ValueError: half a frame")
    assert bench.outcomes() == {"control": 1, "states": 1, "bad_frame": 1}


@pytest.mark.parametrize(
    ("is_first", "seconds", "gaps"),
    [
        pytest.param(True, 1, 0, id="a first start is no loss"),
        pytest.param(True, 60, 3, id="a first start that takes long is"),
        pytest.param(False, 1, 3, id="after an earlier run every moment counts"),
    ],
)
def test_what_a_start_leaves_out(is_first, seconds, gaps):
    bench = Bench(is_first=is_first)
    start = bench.clock.us
    bench.clock.us += seconds * 1_000_000
    bench.frame({"result": None, "id": 1})
    bench.frame({}, bench.state(1))
    assert [(g.reason, g.gap_start_us) for g in bench.of(GapRecord)] == [(GapReason.SHUTDOWN, start)] * gaps


def test_okx_acknowledges_one_stream_at_a_time():
    bench = Bench("okx", is_first=False)
    bench.frame({"event": "subscribe", "arg": {"channel": "trades", "instId": "ETH-USDT"}})
    assert bench.of(GapRecord) == []
    bench.frame({"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}})
    assert [gap.channel for gap in bench.of(GapRecord)] == ["trades"]
    bench.frame({"event": "subscribe", "arg": {"channel": "books", "instId": "BTC-USDT"}})
    assert [gap.channel for gap in bench.of(GapRecord)] == ["trades"]


def test_nothing_is_recorded_after_the_stop():
    bench = Bench()
    bench.update(8, 10)
    bench.recorder.stop()
    count = len(bench.out)
    bench.update(10, 11)
    bench.state(12)(bench.connection)
    assert len(bench.out) == count
    assert bench.outcomes()[Outcome.AFTER_STOP] == 1


def coinbase(number, *, is_book=False):
    return {"channel": "l2_data" if is_book else "heartbeats", "sequence_num": number, "events": []}


def test_a_break_of_the_whole_connection_is_a_gap_of_all_its_streams():
    bench = Bench("coinbase")
    stands = {"subscriptions": {"market_trades": ["BTC-USDT"], "ticker": ["BTC-USDT"]}}
    bench.frame(coinbase(0) | {"channel": "subscriptions", "events": [stands]})
    bench.frame(coinbase(1), bench.state(None, "level2::BTC/USDT"))
    last = bench.clock.us
    assert bench.frame(coinbase(3), bench.state(None, "level2::BTC/USDT")) == (
        GapReason.SEQUENCE,
        "update after 2 follows 1",
    )
    assert bench.frame(coinbase(4)) is None
    bench.recorder.stop()
    gaps = bench.of(GapRecord)
    assert sorted(gap.channel for gap in gaps) == ["orderbook", "ticker", "trades"]
    assert {(gap.gap_start_us, gap.reason) for gap in gaps} == {(last, GapReason.SEQUENCE)}
    assert len(bench.of(BookRecord)) == 1
    assert bench.outcomes() == {"control": 1, "states": 1, "after_error": 2}


def test_a_message_that_comes_twice_is_not_handed_on():
    bench = Bench("coinbase")
    for number in (0, 1, 1, 2):
        bench.frame(coinbase(number), lambda c, n=number: bench.recorder.trade(c, trade(f"{n}-{len(bench.out)}")))
    assert len(bench.of(TradeRecord)) == 3
    assert bench.outcomes() == {"trades": 3, "duplicate": 1}


def kraken(bids, stated, kind="update"):
    levels = [{"price": price, "qty": size} for price, size in bids]
    data = {"symbol": "BTC/USDT", "bids": levels, "asks": [], "checksum": stated}
    message = {"channel": "book", "type": kind, "data": [data]}
    return message, json.dumps(message)


def crc(text):
    return zlib.crc32(text.encode())


def test_a_checksum_that_does_not_hold_is_a_gap_and_condemns_its_connection():
    bench = Bench("kraken")
    message, text = kraken([(1.5, 0.25), (1.25, 0.5)], crc("15" + "25" + "125" + "5"), "snapshot")
    assert bench.frame(message, bench.state(None), text=text) is None
    message, text = kraken([(1.5, 0)], crc("125" + "5"))
    assert bench.frame(message, bench.state(None), text=text) is None
    last = bench.clock.us
    assert bench.frame(message, bench.state(None), text=text) is None, "the same once more"
    message, text = kraken([(1.75, 0.5)], 12345)
    distrust = bench.frame(message, bench.state(None), text=text)
    assert distrust.reason is GapReason.CHECKSUM
    bench.recorder.stop()
    (gap,) = [gap for gap in bench.of(GapRecord) if gap.channel == "orderbook"]
    assert (gap.reason, gap.gap_start_us) == (GapReason.CHECKSUM, last)
    assert gap.detail == f"checksum {crc('175' + '5' + '125' + '5')} is stated as 12345"
    assert bench.outcomes() == {"states": 2, "stale_update": 1, "resync": 1}


def test_a_book_without_a_nonce_of_ccxt_has_the_id_on_the_wire():
    bench = Bench("bybit")
    bench.recorder._symbols = {"BTCUSDT": ["BTC/USDT"]}
    for number, kind in ((7, "snapshot"), (8, "delta")):
        data = {"s": "BTCUSDT", "b": [], "a": [], "u": number}
        bench.frame({"topic": "orderbook.50.BTCUSDT", "type": kind, "data": data}, bench.state(None))
    assert [book.nonce for book in bench.of(BookRecord)] == [7, 8]


def test_an_alias_is_kept_under_the_symbol_asked_for():
    usdc = Stream(Channel.ORDERBOOK, "BTC/USDC")
    bench = Bench("coinbase", asked=[usdc])
    bench.recorder._markets = {"BTC/USDC": Market("BTC-USDC", None)}
    bench.frame({}, bench.state(None, "level2::BTC/USD", "BTC/USD"), bench.state(None, "level2::BTC/USDC", "BTC/USD"))
    assert [book.symbol for book in bench.of(BookRecord)] == ["BTC/USDC"]


def test_an_open_gap_is_told_of_before_it_ends():
    bench = Bench()
    bench.update(8, 10)
    start = bench.clock.us
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    for _ in range(2):
        bench.clock.us += 60_000_000
        bench.recorder.checkpoint(bench.clock.us)
    bench.frame({}, bench.state(20), connection=bench.connect())
    books = [gap for gap in bench.of(GapRecord) if gap.channel == "orderbook"]
    assert [gap.gap_start_us for gap in books] == [start, start + 60_000_000, start + 120_000_000]
    assert [gap.gap_end_us for gap in books] == [start + 60_000_000, start + 120_000_000, bench.clock.us]


def test_what_was_asked_for_and_never_came_is_told_of_and_is_a_gap():
    bench = Bench()
    start = bench.clock.us
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10)
    assert bench.recorder.undelivered(60) == []
    bench.clock.us += 61_000_000
    assert bench.recorder.undelivered(60) == [TICKER], "trades may pause once their subscription stands"
    bench.recorder.stop()
    (gap,) = bench.of(GapRecord)
    assert (gap.channel, gap.reason, gap.gap_start_us) == ("ticker", GapReason.STALE, start)


def test_what_was_not_asked_for_yet_is_not_told_of_as_never_delivered():
    """As where thousands of streams wait for their turn to be asked for."""
    bench = Bench(asked=(BOOK, TICKER), carried=(BOOK,))
    bench.clock.us += 61_000_000
    assert bench.recorder.undelivered(60) == [BOOK]
    bench.recorder.carry(bench.connection, [TICKER])
    bench.clock.us += 59_000_000
    assert bench.recorder.undelivered(60) == [BOOK]
    bench.clock.us += 1_000_000
    assert bench.recorder.undelivered(60) == [BOOK, TICKER]


def test_a_trade_left_out_of_a_frame_is_a_gap_that_has_a_length():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    trades = [trade("1"), trade("2") | {"price": float("nan")}, trade("3")]
    bench.frame({}, *(lambda c, t=t: bench.recorder.trade(c, t) for t in trades))
    (gap,) = bench.of(GapRecord)
    assert (gap.gap_start_us, gap.gap_end_us) == (bench.clock.us, bench.clock.us + 1)


def test_a_trade_whose_price_cannot_be_is_left_out_and_is_a_gap():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("1")))
    before = bench.clock.us
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("2") | {"price": float("nan")}))
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("3")))
    assert [t.trade_id for t in bench.of(TradeRecord)] == ["1", "3"]
    (gap,) = bench.of(GapRecord)
    assert (gap.reason, gap.gap_start_us, gap.gap_end_us) == (GapReason.BAD_FRAME, before, bench.clock.us)
    assert bench.outcomes()["bad_frame"] == 1
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("2")))
    assert [t.trade_id for t in bench.of(TradeRecord)] == ["1", "3", "2"], "it may come again as it should"
