"""Which trades were missing, when they would have come, and what stays lost: tables of values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.exchanges.gaps import Gap, Stream
from fluxforge_collector.exchanges.last_ids import LastIds
from fluxforge_collector.exchanges.missing_trades import Left, Missing, by_time, find, last_of
from fluxforge_collector.records import Channel, GapReason, TradeRecord

START_US, END_US, LAG_US = 1_000_000_000, 1_010_000_000, 50_000
BTC = Stream(Channel.TRADES, "BTC/USDT")


def trade(number, name=None, **info):
    """The trade with this number: one happens every 100 ms, trade 10 as the gap begins."""
    at_us = START_US + (number - 10) * 100_000
    return {"id": name or str(number), "timestamp": (at_us - LAG_US) // 1000, "info": info}


def recorded(number, name=None):
    at_us = START_US + (number - 10) * 100_000
    return TradeRecord(
        "x", BTC.symbol, 0, at_us, name or str(number), (at_us - LAG_US) // 1000, "buy", 1.0, 1.0, None, None, 0, 0,
        backfilled=False,
    )  # fmt: skip


def missing(after=(), last=10, before=("9", "10")):
    gap = Missing(BTC, Gap(START_US, GapReason.DISCONNECT, None), last and recorded(last), LastIds(before), END_US)
    for number in after:
        gap.note(trade(number))
    return gap


def ids(found):
    return [int(trade["id"]) for trade, _ in found.trades]


@pytest.mark.parametrize(
    ("fetched", "after", "kind", "expected", "left"),
    [
        pytest.param([], [], "counted", [], [Left(START_US, END_US, None)], id="nothing fetched"),
        pytest.param(range(8, 16), [14, 15], "counted", [11, 12, 13], [], id="all between the last and the first"),
        pytest.param(range(8, 16), [14, 15], "opaque", [11, 12, 13], [], id="all that is not known"),
        pytest.param(range(8, 14), [], "counted", [11, 12, 13], [], id="no trade since"),
        pytest.param(range(8, 150), [145], "opaque", list(range(11, 145)), [], id="all before the first since, whatever the clocks say"),
        pytest.param(range(8, 150), [], "counted", list(range(11, 150)), [], id="all up to now where none came since, whatever the clocks say"),
        pytest.param(range(8, 11), [], "counted", [], [], id="nothing happened"),
        pytest.param(range(20, 30), [], "counted", [], [Left(START_US, END_US, None)], id="no trade is known by its id"),
        pytest.param(range(13, 17), [16], "counted", [13, 14, 15], [Left(START_US, START_US + 300_000, 2)], id="the first two cannot be had"),
        pytest.param(range(13, 17), [16], "ascending", [13, 14, 15], [Left(START_US, START_US + 300_000, None)], id="nor is known how many"),
        pytest.param([10, 11, 13, 14], [14], "counted", [11, 13], [Left(START_US, END_US, 1)], id="one is left out"),
        pytest.param([10, 11, 13, 14], [14], "ascending", [11, 13], [], id="an id may be left out"),
    ],
)  # fmt: skip
def test_what_was_missing(fetched, after, kind, expected, left):
    found = find(missing(after), [trade(number) for number in fetched], kind)
    assert (ids(found), found.left) == (expected, left)


def test_newer_trades_that_cannot_be_had_stay_a_gap():
    found = find(missing(), [trade(n) for n in range(9, 13)], "counted", has_newest=False)
    assert (ids(found), found.left) == ([11, 12], [Left(START_US + 200_000, END_US, None)])


def test_trades_before_the_exchanges_first_are_not_missing():
    known = missing(after=[14], last=None, before=())
    found = find(known, [trade(n) for n in range(11, 15)], "counted", has_oldest=True)
    assert (ids(found), found.left) == ([11, 12, 13], [])


def test_each_is_placed_when_it_would_have_come_and_never_outside_the_gap():
    known = missing(after=[200])
    found = find(known, [trade(n) for n in (10, 11, 60, 150, 200)], "ascending")
    assert [at_us for _, at_us in found.trades] == [START_US + 100_000, START_US + 5_000_000, END_US - 1]


def test_what_stays_lost_before_those_found_has_its_gap_also_where_these_came_as_the_gap_began():
    """Frames of other streams came on until the gap began, later than the trades of this one by the clock."""
    known = missing(after=[20], last=5, before=["5"])
    found = find(known, [trade(n) for n in (8, 9, 20)], "opaque")
    assert [at_us for _, at_us in found.trades] == [START_US + 1] * 2
    assert found.left == [Left(START_US, START_US + 1, None)]


def test_fills_put_together_under_their_last_id_are_not_fetched_singly():
    known = missing()
    known.note(trade(15, count="3"))
    found = find(known, [trade(n) for n in range(9, 17)], "ascending")
    assert ids(found) == [11, 12]


def test_opaque_ids_are_told_apart_by_what_was_recorded_and_by_time():
    known = Missing(BTC, Gap(START_US, GapReason.DISCONNECT, None), recorded(10, "j"), LastIds("ij"), END_US, set("no"))
    names = "hijklmno"
    found = find(known, [trade(8 + i, name) for i, name in enumerate(names)], "opaque")
    assert [trade["id"] for trade, _ in found.trades] == ["k", "l", "m"]
    assert found.left == []


@given(st.sets(st.integers(1, 60), min_size=1), st.integers(10, 40), st.integers(0, 20))
def test_what_is_chosen_was_never_recorded_and_is_in_order(fetched, first, span):
    after = range(first + 1, first + 1 + span)
    known = missing(after=after, before=[str(n) for n in range(5, 11)])
    found = find(known, by_time(trade(n) for n in fetched), "counted")
    chosen = ids(found)
    assert not {*chosen} & {*after, *range(11)}
    assert chosen == sorted(chosen)
    times = [at_us for _, at_us in found.trades]
    assert times == sorted(times)
    assert all(START_US < at_us < END_US for at_us in times)


@pytest.mark.parametrize(
    ("told_us", "until_us", "start_us"),
    [(None, END_US, START_US), (START_US + 5, END_US, START_US + 5), (END_US, END_US, None)],
)
def test_what_no_row_has_told_of(told_us, until_us, start_us):
    known = missing()
    known.told_us = told_us
    gap = known.untold(until_us)
    assert (gap and gap.start_us) == start_us
    assert known.untold(until_us) is None


def test_a_gap_leaves_to_the_next_what_came_after_its_end_where_no_trade_lies_between():
    """One gap ends at trade 110 and the next begins at 120: nothing was recorded between, nothing is fetched twice."""
    first, second = missing(), missing()
    second.gap, second.end_us = Gap(END_US + 1_000_000, GapReason.STALE, None), END_US + 5_000_000
    first.is_followed = True
    past = [trade(number) for number in range(8, 165)]
    brought = find(first, past, "counted")
    assert ids(brought) == list(range(11, 111))
    second.learn([recorded(int(one["id"])) for one, _ in brought.trades])
    brought = find(second, past, "counted")
    assert ids(brought) == list(range(111, 165))
    assert min(at_us for _, at_us in brought.trades) >= END_US + 1_000_000


def test_the_last_trade_is_the_newer_one_of_those_recorded_and_fetched_at_the_time_it_would_have_come():
    fetched = [recorded(number)._replace(capture_us=END_US - 1, backfilled=True) for number in (11, 12)]
    assert last_of(recorded(10), fetched)[:4] == recorded(12)[:4]
    assert last_of(recorded(13), fetched) == recorded(13)
    assert last_of(recorded(10), []) == recorded(10)
    assert last_of(None, fetched) is None
