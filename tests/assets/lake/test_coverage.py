"""What of a day counts as here: seconds are compared with a slow twin that asks instant by instant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.market import DAY, NOON_US, SECOND, deliver, records, seal

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.coverage import coverages, gaps_until, merged, without
from fluxforge_assets.lake.landing import land
from fluxforge_collector.records import Channel, GapReason, GapRecord

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda p: (min(p), max(p))), max_size=8)


@given(SPANS, SPANS)
def test_spans_without_holes_are_the_instants_in_one_and_not_in_the_other(spans, holes):
    left = without(merged(spans), merged(holes))
    inside = {t for a, b in spans for t in range(a, b)} - {t for a, b in holes for t in range(a, b)}
    assert [t for a, b in left for t in range(a, b)] == sorted(inside)


def gap(start_s, end_s, *, channel="orderbook", reason=GapReason.DISCONNECT, symbol="BTC/USDT", exchange="binanceus"):
    start, end = NOON_US + start_s * SECOND, NOON_US + end_s * SECOND
    return GapRecord(exchange, symbol, channel, start, end, reason, None, None, 0)


def with_gaps(made, *gaps):
    """Records with gaps among them, each where it ends."""

    def moment(record):
        return record.gap_end_us if isinstance(record, GapRecord) else record.capture_us

    return [r._replace(seq=seq) for seq, r in enumerate(sorted([*made, *gaps], key=moment))]


def of(lake, channel=Channel.ORDERBOOK, day=DAY):
    return {c.place.instrument.key: c for c in coverages(Archive(lake, "ccxt"), day, channel)}


def test_gaps_are_taken_off_what_segments_cover_once(lake):
    made = with_gaps(
        records(1, seconds=60),
        gap(10, 15), gap(12, 20, channel="all", reason=GapReason.STALE), gap(30, 31, channel="trades"),
    )  # fmt: skip
    manifests = seal(lake.root, made, until_us=NOON_US + 60 * SECOND)
    land(lake, "ccxt")
    found = of(lake)["binanceus:BTC-USDT"]
    collected = (manifests[-1].to_us - manifests[0].from_us) / 1e6
    assert found.gap == pytest.approx(10)
    assert found.by_reason == {"disconnect": 5.0, "stale": 8.0}
    assert found.covered + found.gap == pytest.approx(collected, abs=10)
    assert found.seconds == pytest.approx((manifests[-1].to_us - NOON_US) / 1e6 + 12 * 3600)
    assert found.missing == pytest.approx(found.seconds - found.covered - found.gap)
    assert of(lake, Channel.TRADES)["binanceus:BTC-USDT"].gap == pytest.approx(9 + 0)
    assert of(lake)["okx:BTC-USDT_USDT"].gap == 0


def test_only_books_whose_sequence_was_judged_are_proven(lake):
    made = records(2, seconds=30, instruments=(("binanceus", "BTC/USDT"), ("gate", "BTC/USDT")))
    seal(lake.root, made)
    land(lake, "ccxt")
    assert {key: c.is_proven for key, c in of(lake).items()} == {"binanceus:BTC-USDT": True, "gate:BTC-USDT": False}
    assert not any(c.is_proven for c in of(lake, Channel.TRADES).values())


def test_a_segment_that_never_came_is_a_gap(tmp_path, lake):
    manifests = seal(tmp_path / "staging", records(3, seconds=60), segment_seconds=10)
    lost = manifests.pop(3)
    deliver(tmp_path / "staging", lake.root, manifests)
    land(lake, "ccxt")
    found = of(lake)["binanceus:BTC-USDT"]
    assert found.by_reason == {"missing_segment": (lost.to_us - lost.from_us) / 1e6}


def test_a_gap_that_ends_days_later_counts_on_the_day_it_began(lake):
    """The crash is told of by the first segment after it, which belongs to a later date."""
    days = 2 * 86_400
    first = records(4, seconds=30)
    crash = gap(40, days + 5, channel="all", reason=GapReason.CRASH)
    seal(lake.root, first)
    seal(lake.root, with_gaps(records(5, start_us=NOON_US + days * SECOND, seconds=30), crash))
    land(lake, "ccxt")
    found = of(lake)["binanceus:BTC-USDT"]
    assert found.seconds == 86_400
    assert found.by_reason["crash"] == pytest.approx(12 * 3600 - 40)
    assert of(lake, day="2026-11-22")["binanceus:BTC-USDT"].by_reason["crash"] == pytest.approx(12 * 3600 + 5)


def test_gaps_of_a_day_so_far_count_every_channel_once(lake):
    seal(lake.root, with_gaps(records(6, seconds=60), gap(10, 20), gap(15, 25, channel="trades")), segment_seconds=30)
    land(lake, "ccxt")
    archive, place = Archive(lake, "ccxt"), of(lake)["binanceus:BTC-USDT"].place
    first_us = archive.manifest(archive.names(DAY)[0]).from_us
    for seconds, gaps in ((60, 15), (22, 12), (5, 0)):
        until_us = NOON_US + seconds * SECOND
        found = gaps_until(archive, place, until_us)
        assert found == pytest.approx((gaps, 1 - gaps * SECOND / (until_us - first_us)))
    assert gaps_until(archive, place, NOON_US - SECOND) == (0, 1)
