"""The queue: what it gives up when full, and that nothing goes uncounted."""

import asyncio
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.metrics import Tally
from fluxforge_collector.queue import RecordQueue
from fluxforge_collector.records import (
    BookRecord,
    Direction,
    FrameRecord,
    GapReason,
    GapRecord,
    TickerRecord,
    TradeRecord,
)


def book(at, symbol="A", levels=1):
    return BookRecord("x", symbol, 0, at, None, at, [1.0, 1.0] * levels, [2.0, 1.0] * levels, at, 0)


def trade(at, symbol="A"):
    return TradeRecord("x", symbol, 0, at, str(at), None, "buy", 1.0, 1.0, 1.0, None, at, 0, backfilled=False)


def ticker(at, symbol="A"):
    return TickerRecord("x", symbol, 0, at, *[None] * 14, None, None, at, 0)


def frame(at):
    return FrameRecord("x", at * 1000, 0, "wss://x", Direction.RECV, "{}", at)


def gap(at, symbol="A"):
    return GapRecord("x", symbol, "all", at, at, GapReason.CLOCK, None, None, at)


def queue_of(maxsize, max_bytes=1 << 30):
    return RecordQueue(maxsize, max_bytes, next_seq=itertools.count(10_000).__next__, tally=Tally())


def losses(batch):
    return {(g.symbol, str(g.channel)): g.lost for g in batch if isinstance(g, GapRecord) and g.lost}


def kept(batch):
    return [(type(r).__name__[0], r.symbol, r.capture_us) for r in batch if not isinstance(r, GapRecord)]


@pytest.mark.parametrize(
    ("records", "stays", "lost"),
    [
        pytest.param([], [], {}, id="empty"),
        pytest.param([book(1), book(2)], [("B", "A", 1), ("B", "A", 2)], {}, id="fits"),
        pytest.param([book(1), book(2), book(3)], [("B", "A", 1), ("B", "A", 3)], {("A", "orderbook"): 1}, id="newest book replaces the one waiting last"),
        pytest.param([book(1), book(2, "B"), book(3, "C")], [("B", "B", 2), ("B", "C", 3)], {("A", "orderbook"): 1}, id="oldest book of another makes room"),
        pytest.param([ticker(1), book(2), book(3, "B")], [("B", "A", 2), ("B", "B", 3)], {("A", "ticker"): 1}, id="tickers go before books"),
        pytest.param([book(1), ticker(2), trade(3)], [("T", "A", 3), ("B", "A", 1)], {("A", "ticker"): 1}, id="tickers go before books for a trade"),
        pytest.param([book(1), trade(2), trade(3)], [("T", "A", 2), ("T", "A", 3)], {("A", "orderbook"): 1}, id="books go before trades"),
        pytest.param([trade(1), trade(2), trade(3)], [("T", "A", 1), ("T", "A", 2)], {("A", "trades"): 1}, id="a trade is lost last"),
        pytest.param([trade(1), trade(2), book(3)], [("T", "A", 1), ("T", "A", 2)], {("A", "orderbook"): 1}, id="no trade goes for a book"),
        pytest.param([frame(1), ticker(2), ticker(3)], [("T", "A", 2), ("T", "A", 3)], {("*", "frames"): 1}, id="frames go first, even for a ticker"),
        pytest.param([frame(1), book(2), book(3)], [("B", "A", 2), ("B", "A", 3)], {("*", "frames"): 1}, id="no book is replaced while frames wait"),
        pytest.param([frame(1), frame(2), frame(3)], [("F", "*", 2), ("F", "*", 3)], {("*", "frames"): 1}, id="the oldest frame goes for a newer one"),
        pytest.param([trade(1), ticker(2), frame(3)], [("T", "A", 1), ("T", "A", 2)], {("*", "frames"): 1}, id="nothing goes for a frame"),
        pytest.param([trade(1), book(2), ticker(3)], [("T", "A", 1), ("B", "A", 2)], {("A", "ticker"): 1}, id="no book goes for a ticker"),
    ],
)  # fmt: skip
def test_a_full_queue_gives_up_what_is_worth_least(records, stays, lost):
    queue = queue_of(2)
    for record in records:
        queue.put(record)
    batch = queue.take()
    assert kept(batch) == stays
    assert losses(batch) == lost
    assert len(queue) == 0
    assert queue.take() == []


def test_a_loss_names_its_first_and_last_moment():
    queue = queue_of(1)
    for at in range(1, 6):
        queue.put(book(at))
    lost = queue.take()[0]
    assert (lost.gap_start_us, lost.gap_end_us, lost.lost, lost.reason) == (1, 4, 4, GapReason.QUEUE_FULL)


def test_bytes_are_bounded_too():
    queue = queue_of(1000, max_bytes=30_000)
    for at in range(50):
        queue.put(book(at, symbol=str(at), levels=50))
    batch = queue.take()
    assert 0 < len(kept(batch)) < 10
    assert len(kept(batch)) + sum(losses(batch).values()) == 50


def test_gap_rows_are_never_given_up():
    queue = queue_of(2)
    for at in range(10):
        queue.put(gap(at))
    assert len(queue.take()) == 10


@given(
    st.lists(st.tuples(st.sampled_from([book, trade, ticker]), st.sampled_from("ABC"), st.booleans()), max_size=200),
    st.integers(1, 8),
)
def test_whatever_comes_is_kept_in_order_or_counted(steps, maxsize):
    queue = queue_of(maxsize)
    put, got, lost = Counter(), Counter(), Counter()
    last = {}

    def take():
        for record in queue.take():
            key = (type(record), record.symbol)
            if isinstance(record, GapRecord):
                lost[record.symbol, str(record.channel)] += record.lost
            else:
                assert last.get(key, -1) < record.capture_us, "each stream in the order it came"
                last[key] = record.capture_us
                got[record.symbol, CHANNEL[type(record)]] += 1

    for at, (make, symbol, is_taken) in enumerate(steps):
        queue.put(make(at, symbol))
        put[symbol, CHANNEL[type(make(at, symbol))]] += 1
        assert len(queue) <= maxsize
        if is_taken:
            take()
    take()
    assert put == got + lost


CHANNEL = {BookRecord: "orderbook", TradeRecord: "trades", TickerRecord: "ticker"}


@pytest.mark.asyncio
async def test_a_batch_comes_when_enough_waits_or_time_is_up():
    queue = queue_of(10)
    assert await queue.get_batch(100, wait_s=0.01) == []
    queue.put(book(1))
    assert len(await queue.get_batch(100, wait_s=0.01)) == 1
    waiting = asyncio.create_task(queue.get_batch(3, wait_s=60))
    await asyncio.sleep(0)
    for at in range(6):
        queue.put(trade(at))
    assert len(await waiting) == 3
    assert len(queue) == 3
