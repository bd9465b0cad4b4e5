import os
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxforge_collector.errors import DataError, InstrumentError, StorageError
from fluxforge_collector.records import GapReason, GapRecord
from fluxforge_collector.segments.writer import next_boundary

MIDNIGHT_US = round(datetime(2024, 8, 9, tzinfo=UTC).timestamp() * 1e6)
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("now", "seconds", "boundary"),
    [
        (0, 60, 60 * SECOND),
        (60 * SECOND - 1, 60, 60 * SECOND),
        (60 * SECOND, 60, 120 * SECOND),
        (MIDNIGHT_US - 1, 60, MIDNIGHT_US),
        (MIDNIGHT_US - 10, 7, MIDNIGHT_US),
        (MIDNIGHT_US, 86_400, MIDNIGHT_US + 86_400 * SECOND),
    ],
)
def test_boundaries_stand_on_the_epochs_grid_and_at_midnight(now, seconds, boundary):
    assert next_boundary(now, seconds) == boundary


def test_segments_cover_time_without_holes_each_within_a_date(lake):
    lake.clock.now_us = MIDNIGHT_US - 150 * SECOND
    start = lake.clock.now_us
    writer = lake.writer(segment_max_seconds=70)
    for _ in range(300):
        writer.append([lake.book(), lake.trade("ETH/USDT")])
        if writer.is_flush_due():
            writer.flush()
        while writer.is_rotation_due():
            writer.rotate()
        lake.clock.advance(1)
    writer.close()
    manifests = lake.manifests()
    assert [m.from_us for m in manifests] == [start, *(m.to_us for m in manifests[:-1])]
    assert manifests[-1].to_us == lake.clock.now_us
    assert MIDNIGHT_US in {m.to_us for m in manifests}
    assert [m.final for m in manifests] == [False] * (len(manifests) - 1) + [True]
    assert manifests == sorted(manifests, key=lambda m: m.id)
    for manifest in manifests:
        for entry in manifest.channels.values():
            for its in entry.instruments.values():
                assert manifest.from_us <= its.first_us <= its.last_us < manifest.to_us
    assert len(lake.rows("orderbook")) == len(lake.rows("trades")) == 300
    assert lake.leftovers() == []


def test_an_empty_segment_is_covered_by_a_manifest_alone(lake):
    writer = lake.writer()
    lake.clock.advance(61)
    assert writer.is_rotation_due()
    manifest = writer.rotate()
    writer.close()
    assert set(manifest.channels) == {"orderbook", "trades", "ticker", "gaps"}
    assert manifest.rows == 0
    assert not list(lake.root.rglob("*.parquet"))


def test_after_a_leap_of_the_clock_no_segment_is_made_of_each_minute_leapt_over(lake):
    """As on a machine without a clock of its own, that boots with the time of its last day and is then told the date."""
    writer = lake.writer()
    writer.append([lake.book()])
    start_us = lake.clock.now_us
    lake.clock.advance(14 * 86_400 + 30)
    writer.append([lake.book()])
    rotations = 0
    while writer.is_rotation_due():
        writer.rotate()
        rotations += 1
    writer.append([lake.book()])
    writer.close()
    first, last = lake.manifests()
    assert (rotations, first.from_us, first.rows, last.rows) == (1, start_us, 1, 2)
    assert first.to_us == next_boundary(start_us, 60)
    assert last.from_us <= lake.clock.now_us < last.from_us + 60 * SECOND


def test_a_record_after_the_boundary_waits_for_its_segment(lake):
    writer = lake.writer()
    lake.clock.advance(200)
    writer.append([lake.book(), lake.book(at=lake.clock.now_us - 199 * SECOND)])
    while writer.is_rotation_due():
        writer.rotate()
    writer.close()
    filled = [m for m in lake.manifests() if m.rows]
    assert [m.rows for m in filled] == [1, 1]
    assert all(m.to_us - m.from_us <= 60 * SECOND for m in lake.manifests())


def test_records_of_many_segments_survive_a_close(lake):
    writer = lake.writer()
    for minute in range(4):
        writer.append([lake.book(at=lake.clock.now_us + minute * 60 * SECOND)])
    manifest = writer.close()
    assert manifest.final
    assert len(lake.rows("orderbook")) == 4
    assert [m.final for m in lake.manifests()] == [False, False, False, True]


def test_size_closes_a_segment_early_and_the_next_begins_where_it_ended(lake):
    writer = lake.writer(segment_max_mb=1)
    while not writer.is_rotation_due():
        lake.clock.advance(0.001)
        writer.append([lake.trade(info_json=os.urandom(400).hex()) for _ in range(100)])
        writer.flush()
    writer.append([lake.trade()])
    first, second = writer.rotate(), writer.close()
    assert first.to_us < next_boundary(first.from_us, 60)
    assert second.from_us == first.to_us


def test_rows_are_flushed_by_number_and_by_time(lake):
    writer = lake.writer(batch_size=10, flush_interval_seconds=5)
    assert not writer.is_flush_due()
    writer.append([lake.book() for _ in range(9)])
    assert not writer.is_flush_due()
    writer.append([lake.book()])
    assert writer.is_flush_due()
    writer.flush()
    assert (writer.is_flush_due(), writer.rows_buffered) == (False, 0)
    writer.append([lake.book()])
    lake.clock.advance(5)
    assert writer.is_flush_due()
    writer.close()


def test_appending_goes_on_while_a_thread_flushes_and_rotates(lake):
    writer, stop = lake.writer(), threading.Event()

    def work():
        while not stop.is_set():
            writer.flush()
            writer.rotate()

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(400):
        lake.clock.advance(0.001)
        writer.append([lake.book(), lake.trade()])
    stop.set()
    thread.join()
    writer.close()
    assert sorted(r["seq"] for c in ("orderbook", "trades") for r in lake.rows(c)) == list(range(800))


def test_two_collectors_share_a_lake_but_not_a_name(lake):
    one, two = lake.writer(), lake.writer(collector="c2")
    with pytest.raises(StorageError, match="'c1' already writes"):
        lake.writer()
    for writer in (one, two):
        writer.append([lake.book()])
        writer.close()
    assert {m.collector for m in lake.manifests()} == {"c1", "c2"}
    assert len(lake.rows("orderbook")) == 2
    lake.writer().close()


def test_hostile_symbols_are_data_and_reach_no_path(lake):
    writer = lake.writer()
    writer.append([lake.book("../../etc/x"), lake.book("a|b"), lake.book("\0"), lake.book("Ω/Δ")])
    manifest = writer.close()
    assert {r["symbol"] for r in lake.rows("orderbook")} == {"../../etc/x", "a|b", "\0", "Ω/Δ"}
    assert len(manifest.channels["orderbook"].instruments) == 4
    assert {p.parent.name for p in lake.root.rglob("*.parquet")} == {"orderbook"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"symbol": ""}, InstrumentError),
        ({"symbol": "x" * 300}, InstrumentError),
        ({"symbol": "a\ud800"}, InstrumentError),
        ({"exchange": "../x"}, InstrumentError),
        ({"bids": [1.0]}, DataError),
    ],
)
def test_a_record_that_cannot_be_kept_is_an_error_and_its_neighbours_are_kept(lake, change, error):
    writer = lake.writer()
    with pytest.raises(error):
        writer.append([lake.book(), lake.book(**change), lake.book()])
    writer.close()
    assert [r["seq"] for r in lake.rows("orderbook")] == [0, 2]


def test_gaps_are_rows_and_counted(lake):
    writer = lake.writer()
    now = lake.clock.now_us
    writer.append([GapRecord("okx", "BTC/USDT", "all", now - 5, now, GapReason.SEQUENCE, 3, "why", 0)])
    assert writer.close().gaps == 1
    (row,) = lake.rows("gaps")
    assert (row["channel"], row["reason"], row["lost"], row["detail"]) == ("all", "sequence", 3, "why")


def test_a_closed_writer_refuses(lake):
    writer = lake.writer()
    writer.close()
    with pytest.raises(StorageError, match="closed"):
        writer.append([lake.book()])


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from conftest import NOON_US, HandClock, Lake
from fluxforge_collector.errors import StorageError
lake = Lake(Path(sys.argv[1]), HandClock(NOON_US))
writer = lake.writer(flush_interval_seconds=5)
def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def fill(): writer.append([lake.book(levels=20), lake.trade(info_json="x" * 50)] * 1); lake.clock.advance(0.01)
for _ in range(50): fill()
writer.flush()
writer.rotate()
sealed = {p: p.read_bytes() for p in lake.paths.ready_dir.rglob("*") if p.is_file()}
refused = 0
for size in (0, 100, 3000, 5000, 9000):
    for operation in (writer.flush, writer.rotate):
        for _ in range(100): fill()
        limit(size)
        try:
            operation()
        except StorageError as error:
            assert "File too large" in str(error), error
            assert not writer.is_flush_due() and not writer.is_rotation_due()
            refused += 1
        limit(resource.RLIM_INFINITY)
        for path, data in sealed.items(): assert path.read_bytes() == data
lake.clock.advance(6)
assert writer.is_flush_due() or writer.is_rotation_due()
writer.close()
assert refused >= 4, refused
seqs = sorted(r["seq"] for c in ("orderbook", "trades") for r in lake.rows(c))
assert seqs == list(range(2 * 1050)), len(seqs)
assert lake.leftovers() == [], lake.leftovers()
assert not lake.rows("gaps")
"""


def test_a_full_disk_loses_nothing_that_was_appended(tmp_path):
    """No file may grow beyond a limit, as on a full disk: each attempt fails cleanly, and the last one has it all."""
    here = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), tmp_path / "lake", here, here.parents[1]],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
