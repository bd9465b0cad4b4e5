"""What is known of streams: repeated trades for as long as they may come again, gaps although nobody asks any more."""

import itertools

import pytest

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.missing_trades import Found, Left
from fluxforge_collector.exchanges.streams import MOST_AFTER, MOST_MISSING, Seen, Streams
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import Channel, GapReason, TradeRecord


def test_a_trade_is_repeated_while_it_is_among_the_last_five_hundred():
    seen = Seen()
    assert not any(seen.is_repeated(str(number)) for number in range(500))
    assert seen.is_repeated("0")
    assert not seen.is_repeated("500")
    assert not seen.is_repeated("0"), "forgotten when as many others had come"


def test_trades_missing_of_a_symbol_that_was_delisted_meanwhile_are_told_of():
    stream, out, count = Stream(Channel.TRADES, "ETH/USD"), [], itertools.count().__next__
    ends = Ends(SystemClock(), out.append, count, count, Tally())
    now_us = ends.clock.capture_us()
    streams = Streams(
        "coinbase", [stream], ends=ends, start=Start(now_us, GapReason.CRASH, is_first=False), has_backfill=True
    )
    streams.close_gap(stream, now_us + 10)
    streams.open_gap(stream, now_us + 20, GapReason.STALE)
    streams.forget(stream)
    (missing,) = streams.missing
    streams.restore(missing, [], Found([], [Left(now_us + 20, now_us + 30, None)]))
    assert [(gap.gap_start_us - now_us, gap.gap_end_us - now_us, gap.reason) for gap in out] == [
        (0, 10, GapReason.CRASH),
        (20, 30, GapReason.STALE),
    ]
    assert streams.missing == []


@pytest.fixture
def bench():
    """A stream of trades that are fetched again, its clock's first instant, and what is emitted and told."""
    stream, out, count = Stream(Channel.TRADES, "BTC/USD"), [], itertools.count().__next__
    ends = Ends(SystemClock(), out.append, count, count, Tally())
    now_us = ends.clock.capture_us()
    start = Start(now_us, GapReason.CRASH, is_first=False)
    streams = Streams("coinbase", [stream], ends=ends, start=start, has_backfill=True)
    streams.close_gap(stream, now_us + 1)
    return streams, stream, now_us, out


def test_gaps_that_end_sooner_than_trades_are_fetched_do_not_pile_up(bench):
    streams, stream, now_us, out = bench
    for number in range(1, 2 * MOST_MISSING):
        streams.open_gap(stream, now_us + 10 * number, GapReason.DISCONNECT)
        streams.close_gap(stream, now_us + 10 * number + 5)
    assert len(streams.missing) == MOST_MISSING
    assert [(gap.gap_start_us - now_us, gap.gap_end_us - now_us, gap.lost) for gap in out[:3]] == [
        (0, 1, None), (10, 15, None), (20, 25, None)
    ]  # fmt: skip
    assert len(out) + len(streams.missing) == 2 * MOST_MISSING, "each is told of, or waits"


def test_trades_are_not_remembered_for_ever_for_a_gap_that_nobody_fetches(bench):
    streams, stream, now_us, out = bench
    streams.open_gap(stream, now_us + 10, GapReason.DISCONNECT)
    streams.close_gap(stream, now_us + 15)
    for number in range(MOST_AFTER):
        streams.note(stream, {"id": str(number)})
    assert (len(streams.missing), len(out)) == (1, 1)
    streams.note(stream, {"id": "one more"})
    assert streams.missing == []
    assert [(gap.gap_start_us - now_us, gap.reason, gap.lost) for gap in out[1:]] == [(10, GapReason.DISCONNECT, None)]


@pytest.mark.parametrize("is_open", [False, True], ids=["after", "before"])
def test_trades_fetched_for_one_gap_are_not_fetched_for_the_next(is_open, bench):
    """However many they are: more than are remembered by their ids. The next one opens before they came, or after."""
    streams, stream, now_us, _ = bench

    def record(number):
        at_us = now_us + number * 1000
        trade = {"timestamp_ms": at_us // 1000, "side": "buy", "price": 1.0, "amount": 1.0, "cost": None}
        return TradeRecord(
            exchange="coinbase", symbol="BTC/USD", collected_ms=0, capture_us=at_us, trade_id=str(number), info_json=None,
            seq=0, conn=0, backfilled=False, **trade,
        )  # fmt: skip

    def open_next():
        streams.open_gap(stream, now_us + 2000_000, GapReason.STALE)

    streams.emit(stream, record(1), now_us, None)
    streams.open_gap(stream, now_us + 1000, GapReason.STALE)
    streams.close_gap(stream, now_us + 1500_000)
    missing = streams.missing[-1]
    if is_open:
        open_next()
    streams.restore(missing, [record(number) for number in range(2, 1002)], Found([], []))
    if not is_open:
        open_next()
    streams.close_gap(stream, now_us + 3000_000)
    following = streams.missing[-1]
    assert missing.is_followed == is_open
    assert following.last.trade_id == "1001"
    assert "1001" in following.before
