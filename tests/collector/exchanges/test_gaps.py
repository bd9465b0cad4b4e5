"""The ledger of open gaps."""

from fluxforge_collector.exchanges.gaps import Gap, GapLedger, Stream
from fluxforge_collector.records import Channel, GapReason

A, B = Stream(Channel.ORDERBOOK, "A"), Stream(Channel.TRADES, "A")


def test_the_first_cause_stands_and_the_earliest_start_counts():
    ledger = GapLedger()
    assert ledger.open(A, 10, GapReason.SEQUENCE, "x")
    assert not ledger.open(A, 20, GapReason.DISCONNECT)
    assert not ledger.open(A, 5, GapReason.DISCONNECT)
    assert A in ledger
    assert ledger.close(A) == Gap(5, GapReason.SEQUENCE, "x")
    assert ledger.close(A) is None
    assert not ledger


def test_streams_are_apart_and_all_can_be_taken():
    ledger = GapLedger()
    ledger.open(A, 1, GapReason.STALE)
    ledger.open(B, 2, GapReason.STALE)
    assert ledger.close_all() == [(A, Gap(1, GapReason.STALE, None)), (B, Gap(2, GapReason.STALE, None))]
    assert len(ledger) == 0


def test_a_split_tells_of_a_gap_up_to_an_instant_and_leaves_the_rest_open():
    ledger = GapLedger()
    ledger.open(A, 10, GapReason.STALE)
    ledger.open(B, 20, GapReason.STALE)
    assert ledger.split(20) == [(A, Gap(10, GapReason.STALE, None))]
    assert ledger.close(A) == Gap(20, GapReason.STALE, None)
    assert ledger.close(B) == Gap(20, GapReason.STALE, None)
