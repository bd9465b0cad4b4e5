"""The recorder, frame by frame: order books."""

import json
import zlib

import pytest
from support.recording import BOOK, Bench

from fluxforge_collector.errors import DataError
from fluxforge_collector.records import BookRecord, GapReason, GapRecord


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
    before = bench.clock.now_us
    bench.clock.now_us += 11_000_000
    bench.frame(snapshot(number), bench.state(number))
    gaps = [(gap.gap_start_us, gap.gap_end_us, gap.reason) for gap in bench.of(GapRecord)]
    assert gaps == ([(before, bench.clock.now_us, GapReason.SEQUENCE)] if is_gap else [])
    assert bench.of(BookRecord)[-1].nonce == number


def test_a_break_without_a_state_is_a_gap_from_the_last_state_to_the_next():
    bench = Bench()
    bench.update(8, 10)
    before = bench.clock.now_us
    assert bench.update(11, 12, state=False) is None
    bench.update(12, 14, state=False)
    bench.update(14, 15)
    (gap,) = bench.of(GapRecord)
    assert (gap.channel, gap.reason) == ("orderbook", GapReason.SEQUENCE)
    assert (gap.gap_start_us, gap.gap_end_us) == (before, bench.clock.now_us)
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
    before = bench.clock.now_us
    bench.recorder.lose(bench.connection, GapReason.DISCONNECT, "closed")
    again = bench.connect()
    bench.clock.now_us += 5000
    bench.state(10)(again)
    assert [book.nonce for book in bench.of(BookRecord)] == [10]
    assert [(gap.gap_start_us, gap.gap_end_us) for gap in bench.of(GapRecord)] == [(before, bench.clock.now_us)]


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
    last = bench.clock.now_us
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
