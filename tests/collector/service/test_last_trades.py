"""Which trades an earlier run recorded last, wherever its segments stand."""

import pytest
from support.clock import HandClock
from support.market import NOON_US, SECOND

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import TradeRecord
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.recovery import recover
from fluxforge_collector.segments.writer import SegmentWriter
from fluxforge_collector.service.absence import last_manifest
from fluxforge_collector.service.last_trades import last_trades

BTC, ETH = Instrument("binanceus", "BTC/USDT"), Instrument("binanceus", "ETH/USDT")
INGESTION = Ingestion(segment_max_seconds=10)
LATER_US = NOON_US + 3600 * SECOND


def trade(number, at_s, instrument=BTC, *, backfilled=False):
    at_us = NOON_US + at_s * SECOND
    return TradeRecord(
        *instrument, at_us // 1000, at_us, str(number), at_us // 1000 - 5, "buy", 1.0, 2.0, None, None, number, 1,
        backfilled,
    )  # fmt: skip


@pytest.fixture
def lake(tmp_path):
    """The paths of a lake in which trades were collected, ten seconds a segment; the run ends in order, or dies."""

    def collect(*trades, dies=False):
        clock = HandClock(NOON_US)
        writer = SegmentWriter(tmp_path, "ccxt", INGESTION, clock)
        for record in trades:
            # fetched again, a trade comes later than it says
            clock.now_us = max(clock.now_us, NOON_US + record.seq * SECOND)
            while writer.is_rotation_due():
                writer.rotate()
            writer.append([record])
        if dies:
            writer.flush()
            writer._lock.release()  # as the kernel does for the dead
            clock.now_us += SECOND
            recover(tmp_path, "ccxt", INGESTION, clock)
        else:
            writer.close()
        return SourcePaths(tmp_path, "ccxt")

    return collect


def found(paths, *wanted):
    last = last_manifest(paths, "c1", LATER_US)
    return {key: (f.last.trade_id, f.ids, f.since_us) for key, f in last_trades(paths, last, wanted).items()}


def test_after_an_orderly_end_trades_are_missing_since_then(lake):
    paths = lake(trade(1, 1), trade(2, 2, ETH), trade(31, 31), trade(32, 32))
    assert found(paths, BTC, ETH) == {
        BTC: ("32", ("31", "32"), last_manifest(paths, "c1", LATER_US).to_us),
        ETH: ("2", ("2",), last_manifest(paths, "c1", LATER_US).to_us),
    }


def test_after_a_death_they_are_missing_since_the_last_one_or_since_its_segment_began(lake):
    paths = lake(trade(1, 1), trade(2, 2, ETH), trade(31, 31), dies=True)
    begun_us = last_manifest(paths, "c1", LATER_US).from_us
    assert found(paths, BTC, ETH) == {
        BTC: ("31", ("31",), NOON_US + 31 * SECOND),
        ETH: ("2", ("2",), begun_us),
    }


def test_trades_fetched_again_are_not_the_last_ones_for_they_stand_in_a_later_segment(lake):
    paths = lake(trade(5, 5), trade(9, 9), trade(12, 7, backfilled=True))
    assert found(paths, BTC)[BTC][:2] == ("9", ("5", "12", "9"))


def test_no_more_ids_are_held_than_are_remembered(lake):
    paths = lake(*(trade(number, 1)._replace(seq=1) for number in range(600)))
    assert found(paths, BTC)[BTC][1] == tuple(str(number) for number in range(100, 600))


def test_segments_that_have_landed_are_found_where_they_stand(lake):
    paths = lake(trade(1, 1))
    (manifest,) = paths.ready_dir.glob("*.json")
    last = last_manifest(paths, "c1", LATER_US)
    for file, target in (
        (paths.ready_file("trades", last.id), paths.archive_file("trades", last.date, last.id)),
        (manifest, paths.archive_manifest(last.date, last.id)),
    ):
        target.parent.mkdir(parents=True)
        file.rename(target)
    assert found(paths, BTC)[BTC][0] == "1"


def test_a_file_that_is_gone_ends_the_search(lake):
    paths = lake(trade(1, 1), trade(2, 2, ETH), trade(31, 31))
    paths.ready_file("trades", last_manifest(paths, "c1", LATER_US).id).unlink()
    assert found(paths, BTC, ETH) == {}
