"""The recorder, frame by frame: trades, tickers, whole connections, and what is told of gaps."""

import pytest
from support.recording import BOOK, TICKER, Bench

from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.surroundings import Market
from fluxforge_collector.metrics import Outcome
from fluxforge_collector.records import BookRecord, Channel, GapReason, GapRecord, TickerRecord, TradeRecord


def trade(trade_id="1", symbol="BTC/USDT"):
    return {"symbol": symbol, "id": trade_id, "price": 1.0, "amount": 1.0, "side": "buy", "timestamp": 1}


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
    last = bench.clock.now_us
    bench.clock.now_us += 5_000_000
    bench.recorder.lose(bench.connection, GapReason.STALE, "no data")
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    assert bench.frame({}, bench.state(11)) is None
    fresh = bench.connect()
    bench.frame({"result": None, "id": 1}, connection=fresh)
    acknowledged = bench.clock.now_us
    bench.frame({}, bench.state(20), connection=fresh)
    gaps = {gap.channel: gap for gap in bench.of(GapRecord)}
    assert {gap.reason for gap in gaps.values()} == {GapReason.STALE}
    assert {gap.gap_start_us for gap in gaps.values()} == {last}
    assert {channel: gap.gap_end_us for channel, gap in gaps.items()} == {
        "trades": acknowledged,
        "ticker": acknowledged,
        "orderbook": bench.clock.now_us,
    }
    assert bench.outcomes() == {"states": 2, "after_error": 1, "control": 2}
    assert bench.tally.reconnects["binanceus"] == 1


def test_a_connection_lost_after_a_snapshot_is_a_gap_since_the_snapshot_not_since_the_frame_before_it():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10, state=False)
    bench.clock.now_us += 300_000
    bench.state(12)(bench.connection)
    fetched = bench.clock.now_us
    bench.clock.now_us += 15_000_000
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
    start = bench.clock.now_us
    bench.clock.now_us += seconds * 1_000_000
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
    last = bench.clock.now_us
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


def test_an_alias_is_kept_under_the_symbol_asked_for():
    usdc = Stream(Channel.ORDERBOOK, "BTC/USDC")
    bench = Bench("coinbase", asked=[usdc])
    bench.recorder._markets = {"BTC/USDC": Market("BTC-USDC", None)}
    bench.frame({}, bench.state(None, "level2::BTC/USD", "BTC/USD"), bench.state(None, "level2::BTC/USDC", "BTC/USD"))
    assert [book.symbol for book in bench.of(BookRecord)] == ["BTC/USDC"]


def test_an_open_gap_is_told_of_before_it_ends():
    bench = Bench()
    bench.update(8, 10)
    start = bench.clock.now_us
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    for _ in range(2):
        bench.clock.now_us += 60_000_000
        bench.recorder.checkpoint(bench.clock.now_us)
    bench.frame({}, bench.state(20), connection=bench.connect())
    books = [gap for gap in bench.of(GapRecord) if gap.channel == "orderbook"]
    assert [gap.gap_start_us for gap in books] == [start, start + 60_000_000, start + 120_000_000]
    assert [gap.gap_end_us for gap in books] == [start + 60_000_000, start + 120_000_000, bench.clock.now_us]


def test_what_was_asked_for_and_never_came_is_told_of_and_is_a_gap():
    bench = Bench()
    start = bench.clock.now_us
    bench.frame({"result": None, "id": 0})
    bench.update(8, 10)
    assert bench.recorder.undelivered(60) == []
    bench.clock.now_us += 61_000_000
    assert bench.recorder.undelivered(60) == [TICKER], "trades may pause once their subscription stands"
    bench.recorder.stop()
    (gap,) = bench.of(GapRecord)
    assert (gap.channel, gap.reason, gap.gap_start_us) == ("ticker", GapReason.STALE, start)


def test_what_was_not_asked_for_yet_is_not_told_of_as_never_delivered():
    """As where thousands of streams wait for their turn to be asked for."""
    bench = Bench(asked=(BOOK, TICKER), carried=(BOOK,))
    bench.clock.now_us += 61_000_000
    assert bench.recorder.undelivered(60) == [BOOK]
    bench.recorder.carry(bench.connection, [TICKER])
    bench.clock.now_us += 59_000_000
    assert bench.recorder.undelivered(60) == [BOOK]
    bench.clock.now_us += 1_000_000
    assert bench.recorder.undelivered(60) == [BOOK, TICKER]


def test_a_trade_left_out_of_a_frame_is_a_gap_that_has_a_length():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    trades = [trade("1"), trade("2") | {"price": float("nan")}, trade("3")]
    bench.frame({}, *(lambda c, t=t: bench.recorder.trade(c, t) for t in trades))
    (gap,) = bench.of(GapRecord)
    assert (gap.gap_start_us, gap.gap_end_us) == (bench.clock.now_us, bench.clock.now_us + 1)


def test_a_trade_whose_price_cannot_be_is_left_out_and_is_a_gap():
    bench = Bench()
    bench.frame({"result": None, "id": 0})
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("1")))
    before = bench.clock.now_us
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("2") | {"price": float("nan")}))
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("3")))
    assert [t.trade_id for t in bench.of(TradeRecord)] == ["1", "3"]
    (gap,) = bench.of(GapRecord)
    assert (gap.reason, gap.gap_start_us, gap.gap_end_us) == (GapReason.BAD_FRAME, before, bench.clock.now_us)
    assert bench.outcomes()["bad_frame"] == 1
    bench.frame({}, lambda c: bench.recorder.trade(c, trade("2")))
    assert [t.trade_id for t in bench.of(TradeRecord)] == ["1", "3", "2"], "it may come again as it should"
