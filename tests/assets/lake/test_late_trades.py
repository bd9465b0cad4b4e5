"""Trades fetched again after a gap: whatever was computed without them is computed again, as if they had come in time."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.clock import HandClock
from support.market import DAY, NOON_US, SECOND, config_of, moment, records

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze import gap_table
from fluxforge_assets.lake.coverage import coverages
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.segments_merge import compact_segments
from fluxforge_assets.lake.update import places_of, recipes, update
from fluxforge_collector.config.model import Compaction, Ingestion
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel, GapReason, GapRecord, TradeRecord
from fluxforge_collector.segments.writer import SegmentWriter

MIDNIGHT_US = NOON_US + 12 * 3600 * SECOND
DAYS = (DAY, "2026-11-21")
BTC = Instrument("binanceus", "BTC/USDT")


def is_missing(record, start_us):
    """Whether a record is a trade of BTC/USDT within ten seconds of an instant."""
    is_btc = (record.exchange, record.symbol) == BTC
    return isinstance(record, TradeRecord) and is_btc and start_us <= record.capture_us < start_us + 10 * SECOND


def write(root, made, seen=lambda: None):
    """Seal records in the order given, whatever their times; `seen` is called at every rotation."""
    clock = HandClock(moment(made[0]))
    writer = SegmentWriter(root, "ccxt", Ingestion(segment_max_seconds=10), clock)
    for record in made:
        clock.now_us = max(clock.now_us, moment(record))
        while writer.is_rotation_due():
            writer.rotate()
            seen()
        writer.append([record])
    clock.now_us += 60 * SECOND
    writer.close()
    seen()


def run(lake, config):
    """What real-time runs do: land, then bring every marked date up to date."""
    land(lake, "ccxt")
    for mark in marks(lake):
        for outcome in update(lake, config, "ccxt", mark.date):
            assert not hasattr(outcome, "error"), outcome


def read(lake, place, folder):
    directory = lake.partition(place, folder)
    return pl.read_parquet(f"{directory}/*.parquet") if directory.exists() else None


def everything(lake, config):
    """Every partition of both days, by dataset and place."""
    return {
        (recipe.dataset.asset, place): read(lake, place, recipe.dataset.folder)
        for recipe in recipes(lake, config, "ccxt")
        for day in DAYS
        for place in places_of(lake, "ccxt", day)
    }


@pytest.mark.parametrize(
    ("begin_us", "is_compacted"),
    [
        pytest.param(NOON_US, False, id="within a day"),
        pytest.param(MIDNIGHT_US - 40 * SECOND, True, id="over midnight, compacted"),
    ],
)
def test_late_trades_give_the_rows_of_a_run_without_the_disconnect(begin_us, is_compacted, lake, tmp_path):
    made = records(7, start_us=begin_us, seconds=90)
    missing_us = begin_us + 25 * SECOND
    late = [record._replace(backfilled=True) for record in made if is_missing(record, missing_us)]
    assert len(late) > 4
    in_time = [record for record in made if not is_missing(record, missing_us)]
    position = next(i for i, record in enumerate(in_time) if moment(record) > begin_us + 65 * SECOND)
    told = GapRecord(*BTC, "trades", missing_us, begin_us + 40 * SECOND, GapReason.DISCONNECT, None, None, 0)
    told_at = next(i for i, record in enumerate(in_time) if moment(record) > begin_us + 40 * SECOND)
    back = told._replace(lost=0, seq=1)
    disturbed = [*in_time[:told_at], told, *in_time[told_at:position], *late, back, *in_time[position:]]

    config = config_of(lake.root)
    write(lake.root, disturbed, lambda: run(lake, config))
    calm_lake = Lake(tmp_path / "calm")
    calm = config_of(calm_lake.root)
    write(calm_lake.root, made)
    run(calm_lake, calm)

    if is_compacted:
        for day in DAYS:
            compact_segments(lake, "ccxt", Channel.TRADES, day, Compaction())
        for day in DAYS:
            for place in places_of(lake, "ccxt", day):
                for recipe in recipes(lake, config, "ccxt"):
                    replace(lake, recipe, place)
    found = everything(lake, config)
    wanted = everything(calm_lake, calm)
    assert found.keys() == wanted.keys()
    for key, frame in wanted.items():
        if frame is not None and frame.height:
            columns = [name for name in frame.columns if name != "backfilled"]
            assert_frame_equal(found[key].select(columns), frame.select(columns), check_exact=True)
    archive = Archive(lake, "ccxt")
    assert gap_table(archive, BTC, begin_us, begin_us + 90 * SECOND).num_rows == 0
    assert all(c.gap == 0 for c in coverages(archive, DAY, Channel.TRADES))
