"""From one feed to another, record by record: each record once, in order, whichever feed is behind."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.relay import Relay
from fluxforge_collector.exchanges.surroundings import Ends
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import BookRecord, Channel, GapReason, GapRecord, TradeRecord

BOOK, TRADES = Stream(Channel.ORDERBOOK, "A/B"), Stream(Channel.TRADES, "A/B")


def book(number, at):
    return BookRecord("x", "A/B", at, at, None, number, [float(number), 1.0], [], at, at)


def trade(number, at):
    return TradeRecord("x", "A/B", at, at, str(number), None, "buy", 1.0, 1.0, None, None, at, 0, backfilled=False)


def gap(channel="orderbook"):
    return GapRecord("x", "A/B", channel, 1, 2, GapReason.DISCONNECT, None, None, 0)


class Bench:
    def __init__(self):
        self.out, self.tally = [], Tally()
        ends = Ends(
            SystemClock(), self.out.append, itertools.count(1000).__next__, itertools.count().__next__, self.tally
        )
        self.relay = Relay([BOOK, TRADES], ends)

    def numbers(self):
        return [r.nonce if isinstance(r, BookRecord) else int(r.trade_id) for r in self.out]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["old 1", "new 1", "old 2", "new 2", "new 3"], id="old before new"),
        pytest.param(["new 1", "old 1", "new 2", "old 2", "new 3"], id="new before old"),
        pytest.param(["old 1", "old 2", "new 2", "new 3"], id="the new one comes up"),
    ],
)
def test_a_book_passes_where_both_have_said_the_same(steps):
    bench = Bench()
    for at, step in enumerate(steps):
        feed, number = step.split()
        getattr(bench.relay, feed).emit(book(int(number), at))
    assert bench.numbers() == [1, 2, 3]
    assert bench.relay.left == {TRADES}


def test_gaps_count_only_where_they_are_the_owners():
    bench = Bench()
    bench.relay.new.emit(gap())
    bench.relay.old.emit(gap())
    bench.relay.move(BOOK)
    bench.relay.old.emit(gap())
    bench.relay.new.emit(gap())
    assert len(bench.out) == 2
    assert bench.tally.gaps["x", GapReason.DISCONNECT] == -2, "what is held back was counted when it was made"


@given(st.lists(st.sampled_from(["old", "new", "move"]), max_size=60))
def test_each_trade_comes_once_and_none_is_missing(steps):
    bench = Bench()
    sent = Counter()
    for at, step in enumerate(steps):
        if step == "move":
            bench.relay.move(TRADES)
            continue
        sent[step] += 1
        getattr(bench.relay, step).emit(trade(sent[step], at))
    bench.relay.move(TRADES)
    for at in range(sent["new"], max(sent.values(), default=0)):
        bench.relay.new.emit(trade(at + 1, len(steps) + at))
    assert sorted(bench.numbers()) == list(range(1, max(sent.values(), default=0) + 1))
