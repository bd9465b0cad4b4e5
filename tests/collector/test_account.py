"""The account itself: what it finds wrong, and what it lets pass."""

import pytest
from support.account import Kept, Sent, Span, settle

STEP_US = 1_000_000


def stream(*numbers, fault=None):
    return [Sent(n * STEP_US, (n,), fault) for n in numbers]


def rows(*numbers):
    return [Kept(n * STEP_US + 100, (n,)) for n in numbers]


def gap(first, last, reason="disconnect"):
    return Span(first * STEP_US + 100, last * STEP_US + 100, reason)


@pytest.mark.parametrize(
    ("sent", "kept", "gaps", "wrong"),
    [
        pytest.param(stream(1, 2, 3), rows(1, 2, 3), [], [], id="all kept"),
        pytest.param(stream(1, 2, 3), rows(2, 3), [], [], id="what came before the first row"),
        pytest.param(stream(11, 12, 13), rows(12, 13), [gap(2, 12)], [], id="what came before the first row lies in the gap of the start"),
        pytest.param(stream(1, 12, 13), rows(12, 13), [], ["neither kept nor in a gap"], id="what came long before the first row"),
        pytest.param(stream(1, 3, 14, 15), rows(2, 14, 15), [gap(2, 14)], [], id="a snapshot soon, and then a gap"),
        pytest.param(stream(1, 3, 14, 15), rows(2, 14, 15), [], ["neither kept nor in a gap"], id="a snapshot soon, and one lost"),
        pytest.param(stream(1, 2, 13), [], [], ["neither kept nor in a gap"] * 3, id="nothing of a stream"),
        pytest.param(stream(1, 2, 13), [], [gap(0, 14)], [], id="nothing of a stream, and a gap says so"),
        pytest.param(stream(1, 2, 3), [], [], [], id="nothing of a stream that ended at once"),
        pytest.param(stream(1, 2, 3), rows(1, 3), [gap(1, 3)], [], id="one in a gap"),
        pytest.param(stream(1, 2, 3, 4), rows(1, 4), [gap(1, 4)], [], id="two in a gap"),
        pytest.param(stream(1, 2, 3), rows(1, 2), [gap(2, 9)], [], id="lost until the end"),
        pytest.param(stream(1, 2, 3), rows(1, 3), [], ["neither kept nor in a gap"], id="one lost"),
        pytest.param(stream(1, 2, 3), rows(1, 2), [], ["neither kept nor in a gap"], id="the last lost"),
        pytest.param([*stream(1, 2), *stream(3, fault="reorder")], rows(1, 2), [], [], id="the last held back for the next"),
        pytest.param(stream(1, 2, 3), rows(1, 2, 2, 3), [], ["kept more often than sent"], id="one doubled"),
        pytest.param(stream(1, 2), rows(1, 2, 3), [], ["never sent"], id="one made up"),
        pytest.param(stream(1, 2, 3, 5), rows(1, 2, 4, 5), [gap(2, 4)], [], id="a snapshot opens a stream"),
        pytest.param(stream(1, 2, 8), rows(1, 2, 8), [gap(4, 5)], ["where nothing was lost"], id="a gap for nothing"),
        pytest.param(stream(1, 2, 3, 4, 5, 6), rows(1, 3, 4, 6), [gap(1, 6)], ["covers 2 rows"], id="a gap too wide"),
        pytest.param([*stream(1, 1), *stream(2)], rows(1, 2), [], ["neither kept nor in a gap"], id="one of two equal ones"),
        pytest.param([*stream(1), *stream(2, 2), *stream(3)], rows(1, 2, 3), [gap(2, 3)], [], id="one of two equal ones in a gap"),
    ],
)  # fmt: skip
def test_what_an_account_finds(sent, kept, gaps, wrong):
    found = settle(sent, kept, gaps, [], proven=True, flush_us=200_000).wrong
    assert len(found) == len(wrong)
    assert all(what in line for what, line in zip(wrong, found, strict=True))


@pytest.mark.parametrize(("proven", "unseen"), [(True, 0), (False, 1)])
def test_a_dropped_frame_goes_unseen_only_where_nothing_is_proven(proven, unseen):
    sent = [*stream(1), *stream(2, fault="drop"), *stream(3)]
    account = settle(sent, rows(1, 3), [], [], proven=proven, flush_us=200_000)
    assert (account.unseen, len(account.wrong)) == (unseen, 1 - unseen)


def test_a_gap_may_have_a_cause_that_cost_nothing():
    account = settle(
        stream(1, 2, 8), rows(1, 2, 8), [gap(4, 5)], [(4 * STEP_US, 4 * STEP_US)], proven=True, flush_us=200_000
    )
    assert account.wrong == []


@pytest.mark.parametrize(
    ("last", "is_state", "wrong"),
    [
        pytest.param(8, True, 0, id="states are sent to nobody"),
        pytest.param(2, True, 1, id="states go on"),
        pytest.param(8, False, 1, id="trades may pause"),
    ],
)
def test_a_gap_may_stand_where_nobody_was_subscribed(last, is_state, wrong):
    sent = [*stream(1), *(Sent(n * STEP_US + 500_000, (n,), None) for n in range(last, 9))]
    kept = [*rows(1), *(Kept(n * STEP_US + 500_100, (n,)) for n in range(last, 9))]
    found = settle(
        sent, kept, [Span(5 * STEP_US, 5 * STEP_US + 100, "stale")], [], proven=True, flush_us=1, is_state=is_state
    )
    assert len(found.wrong) == wrong


@pytest.mark.parametrize(("is_book", "wrong"), [(False, 0), (True, 2)])
def test_what_came_without_a_field_is_kept_without_it_but_never_a_book(is_book, wrong):
    sent = [*stream(1), *stream(2, fault="missing_field"), *stream(3)]
    kept = [*rows(1), Kept(2 * STEP_US + 100, (None,)), *rows(3)]
    assert len(settle(sent, kept, [], [], proven=True, flush_us=200_000, is_book=is_book).wrong) == wrong


@pytest.mark.parametrize(("at_ms", "wrong"), [pytest.param(7, 0, id="told"), pytest.param(None, 1, id="not told")])
def test_a_state_that_is_said_again_under_its_id_or_time_need_not_be_kept_again(at_ms, wrong):
    sent = [Sent(at * STEP_US, (at_ms, 1.5), None) for at in (1, 2)] + [Sent(3 * STEP_US, (8, 1.5), None)]
    kept = [Kept(STEP_US + 100, (at_ms, 1.5)), Kept(3 * STEP_US + 100, (8, 1.5))]
    found = settle(sent, kept, [], [], proven=True, flush_us=200_000, is_state=True)
    assert len(found.wrong) == wrong


@pytest.mark.parametrize(
    ("at", "gaps", "wrong"),
    [
        pytest.param([1, 4], [gap(2, 4)], 0, id="the second, in its gap"),
        pytest.param([1, 4], [], 1, id="the second, in none"),
        pytest.param([3, 4], [gap(0, 2)], 0, id="the first, in its gap"),
        pytest.param([1, 3], [gap(3, 5)], 0, id="the last, in its gap"),
    ],
)
def test_which_of_equal_states_was_lost_is_told_by_when_the_others_came(at, gaps, wrong):
    equal = [1, 3, 4]
    sent = [Sent(n * STEP_US, (None if n in equal else n,), None) for n in range(6)]
    kept = [Kept(n * STEP_US + 100, (None if n in equal else n,)) for n in sorted([*at, 0, 2, 5])]
    found = settle(sent, kept, gaps, [], proven=True, flush_us=200_000, is_state=False)
    assert len(found.wrong) == wrong
