"""Recorded frames land and are kept like other channels, and are nobody's instrument."""

import pytest
from support.market import DAY, INSTRUMENTS, NOON_US, SECOND, config_of, records, seal

from fluxforge_assets.defs.sensors import keys_waiting
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.coverage import coverages
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.reading import Wanted, open_asset, open_path
from fluxforge_assets.lake.retention import delete, expired
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.model import Compaction, Retention
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import EVERY_SYMBOL, Channel, Direction, FrameRecord, GapReason, GapRecord

KEYS = {Instrument(*names).key for names in INSTRUMENTS}


def _frames(count):
    for number in range(count):
        at_us = NOON_US + number * 100_000
        exchange = "okx" if number % 3 else "binanceus"
        yield FrameRecord(exchange, at_us * 1000, 1, f"wss://{exchange}", Direction.RECV, f'{{"n":{number}}}', number)


@pytest.fixture(params=["parquet", "ndjson"])
def landed(lake, request):
    lost = GapRecord("okx", EVERY_SYMBOL, "frames", NOON_US, NOON_US + 9 * SECOND, GapReason.QUEUE_FULL, 3, None, 0)
    gap = GapRecord("okx", "BTC/USDT:USDT", "orderbook", NOON_US, NOON_US + SECOND, GapReason.CLOCK, None, None, 1)
    made = [*records(1, seconds=40), *_frames(400), lost, gap]
    made.sort(key=lambda r: r.gap_end_us if isinstance(r, GapRecord) else r.capture_us)
    seal(lake.root, made, raw_format=request.param)
    assert keys_waiting(lake) == KEYS
    assert not land(lake, "ccxt").quarantined
    return lake


def test_they_are_no_instrument(landed):
    archive = Archive(landed, "ccxt")
    assert archive.instruments(archive.names(DAY)) == KEYS
    for channel in (Channel.ORDERBOOK, Channel.FRAMES):
        assert {cover.place.instrument.key for cover in coverages(archive, DAY, channel)} == KEYS
    assert all(not hasattr(outcome, "error") for outcome in update(landed, config_of(landed.root), "ccxt", DAY))
    assert {path.name for path in landed.root.glob("processed/ccxt/orderbook/hf/*/*")} == {
        f"symbol={key.partition(':')[2]}" for key in KEYS
    }


def test_they_can_be_read_and_stay_as_they_are(landed):
    folder = landed.root / "raw" / "archive" / "ccxt" / "frames"
    before = sorted(path.name for path in folder.rglob("segment_*"))
    done = list(compact(landed, Compaction(), Selection(), now_us=NOON_US + 3 * 86_400 * SECOND))
    assert all(isinstance(one, Compacted) for one in done)
    assert sorted(path.name for path in folder.rglob("segment_*")) == before
    rows = open_path(folder, Wanted(exchange="okx")).collect()
    assert rows["text"].to_list() == [f'{{"n":{n}}}' for n in range(400) if n % 3]
    lost = open_asset(landed, "bronze/gaps", Wanted()).collect()
    assert ("okx", EVERY_SYMBOL, "frames", 3) in lost.select("exchange", "symbol", "channel", "lost").rows()


def test_they_go_by_their_own_rule(landed):
    rules = Retention(keep_frames_days=2)
    assert rules.has_rule
    assert list(expired(landed, rules, now_us=NOON_US + 2 * 86_400 * SECOND)) == []
    (one,) = expired(landed, rules, now_us=NOON_US + 3 * 86_400 * SECOND)
    assert (one.what, one.partition, one.rule) == ("bronze/frames", DAY, "keep_frames_days: 2")
    delete(landed, one)
    assert not list(landed.raw.glob("archive/ccxt/frames/date=*/*"))
    assert open_asset(landed, "bronze/trades", Wanted()).collect().height
