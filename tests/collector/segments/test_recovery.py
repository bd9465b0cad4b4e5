import json

import pytest

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.errors import StorageError
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.segments.names import RawFormat
from fluxforge_collector.segments.recovery import recover

SECOND = 1_000_000


@pytest.fixture(params=list(RawFormat))
def lake(lake, request):
    lake.form = request.param
    return lake


def _recover(lake):
    # whatever is configured now, a segment keeps the format of the collector that died
    return recover(lake.root, "ccxt", Ingestion(), lake.clock)


def _die(writer):
    """What the kernel does at a death: the lock goes, files stay."""
    writer._lock.release()


def _crash_gaps(lake):
    return {
        (r["symbol"], r["channel"]): (_us(r["gap_start"]), _us(r["gap_end"]))
        for r in lake.rows("gaps")
        if r["reason"] == "crash"
    }


def _us(moment):
    return round(moment.timestamp() * 1e6)


def test_flushed_rows_become_a_segment_with_a_gap_from_each_last_record(lake):
    writer, start = lake.writer(), lake.clock.now_us
    writer.append([lake.book(), lake.trade("ETH/USDT")])
    lake.clock.advance(3)
    writer.append([lake.book()])
    writer.flush()
    writer.append([lake.book()])
    _die(writer)
    lake.clock.advance(10)
    (manifest,) = _recover(lake)
    assert {entry.form for entry in manifest.channels.values() if entry.file} == {lake.form}
    assert [r["seq"] for r in lake.rows("orderbook")] == [0, 2]
    assert (manifest.from_us, manifest.to_us, manifest.final) == (start, start + 3 * SECOND + 1, False)
    assert _crash_gaps(lake) == {
        ("BTC/USDT", "orderbook"): (start + 3 * SECOND, lake.clock.now_us),
        ("ETH/USDT", "trades"): (start, lake.clock.now_us),
    }
    assert manifest.gaps == 2
    assert lake.leftovers() == []
    assert _recover(lake) == []


def test_an_instrument_that_was_quiet_in_the_last_segment_has_a_gap_from_its_start(lake):
    writer = lake.writer()
    writer.append([lake.book("QUIET/X"), lake.book()])
    lake.clock.advance(60)
    border = writer.rotate().to_us
    writer.append([lake.book()])
    writer.flush()
    _die(writer)
    lake.clock.advance(10)
    _recover(lake)
    assert _crash_gaps(lake) == {
        ("QUIET/X", "orderbook"): (border, lake.clock.now_us),
        ("BTC/USDT", "orderbook"): (border + (lake.clock.now_us - 10 * SECOND - border), lake.clock.now_us),
    }


def test_a_death_before_the_first_flush_is_a_gap_too(lake):
    writer = lake.writer()
    writer.append([lake.book()])
    border = writer.rotate().to_us
    writer.append([lake.book()])
    _die(writer)
    lake.clock.advance(10)
    _recover(lake)
    assert _crash_gaps(lake) == {("BTC/USDT", "orderbook"): (border, lake.clock.now_us)}
    assert [m.rows for m in lake.manifests()] == [1, 1]


def test_a_segment_whose_successor_begins_after_a_leap_of_the_clock_ends_where_it_would_have(lake):
    """What was leapt over was never collected: a manifest that covered it would call it complete."""
    writer = lake.writer()
    writer.append([lake.book()])
    writer.flush()
    lake.clock.advance(2 * 3600)
    closing = writer._switch(final=False)
    writer._start_open()
    _die(writer)
    first, second = _recover(lake)
    assert (first.id, first.rows, first.to_us) == (closing.id, 1, closing.to_us)
    assert second.from_us - first.to_us > 3600 * SECOND
    assert len(lake.rows("orderbook")) == 1
    assert lake.leftovers() == []


def test_an_orderly_end_leaves_nothing_to_recover(lake):
    writer = lake.writer()
    writer.append([lake.book()])
    writer.close()
    assert _recover(lake) == []
    assert not lake.rows("gaps")


def test_a_living_collector_is_left_alone(lake):
    writer = lake.writer(collector="c2")
    writer.append([lake.book()])
    writer.flush()
    assert _recover(lake) == []
    with pytest.raises(StorageError, match="'c2' already writes"):
        recover(lake.root, "ccxt", Ingestion(collector="c2"), lake.clock)
    _die(writer)
    assert [m.collector for m in _recover(lake)] == ["c2"]


def _damage(lake, how):
    """A lake whose writer died after two flushes of a segment, its book journal then damaged."""
    writer = lake.writer()
    for _ in range(2):
        writer.append([lake.book() for _ in range(50)] + [lake.trade()])
        writer.flush()
        lake.clock.advance(1)
    _die(writer)
    (journal,) = lake.paths.active_dir.glob("orderbook/segment_*")
    data = bytearray(journal.read_bytes())
    journal.write_bytes(how(data))
    return journal


def test_a_torn_tail_is_reported_with_its_bytes_and_kept_in_quarantine(lake):
    journal = _damage(lake, lambda data: data[:-100])
    torn = journal.read_bytes()
    _recover(lake)
    # of an NDJSON flush that was torn, the whole lines are taken: its last row and its proof are not there
    assert len(lake.rows("orderbook")) == (50 if lake.form is RawFormat.PARQUET else 99)
    assert len(lake.rows("trades")) == 2
    (detail,) = {r["detail"] for r in lake.rows("gaps") if r["channel"] == "orderbook"}
    assert "bytes of the journal torn or corrupt" in detail
    kept = lake.paths.quarantine_file("orderbook", journal.name)
    assert kept.read_bytes() == torn
    reason = json.loads(kept.with_name(f"{kept.name}.reason.json").read_text())
    assert reason["reason"] == detail


def test_a_flipped_byte_is_never_a_row(lake):
    def flip(data):
        data[len(data) * 3 // 4] ^= 0x10
        return data

    _damage(lake, flip)
    _recover(lake)
    assert len(lake.rows("orderbook")) == 50
    ((start, end),) = {its for (_, channel), its in _crash_gaps(lake).items() if channel == "orderbook"}
    assert end - start == 2 * SECOND


def test_a_journal_that_cannot_be_read_goes_to_quarantine_and_the_rest_goes_on(lake):
    journal = _damage(lake, lambda data: b"no arrow at all" + data)
    _recover(lake)
    assert not lake.rows("orderbook")
    assert len(lake.rows("trades")) == 2
    assert lake.paths.quarantine_file("orderbook", journal.name).exists()


@pytest.mark.parametrize("name", ["x.arrow", "segment_.arrow", "segment_20240808T000000Z_c1_0.arrow", "a b"])
def test_a_stranger_among_the_journals_goes_to_quarantine(lake, name):
    stranger = lake.paths.active_dir / "orderbook" / name
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"?")
    assert _recover(lake) == []
    assert not stranger.exists()
    assert lake.paths.quarantine_file("unknown", name).read_bytes() == b"?"


@pytest.mark.parametrize("stage", ["processing", "archive", "quarantine", "uploaded"])
def test_a_segment_committed_and_claimed_before_the_death_is_not_sealed_again(lake, stage):
    """The manifest has already been moved on by a run when the journals are found."""
    writer = lake.writer()
    writer.append([lake.book()])
    writer.flush()
    journals = {p: p.read_bytes() for p in lake.paths.active_dir.rglob("segment_*")}
    manifest = writer.close()
    for path, data in journals.items():
        path.write_bytes(data)
    target = next(path for path in lake.paths.manifests(manifest.id) if f"/raw/{stage}/" in str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    lake.paths.ready_manifest(manifest.id).rename(target)
    assert _recover(lake) == []
    assert not list(lake.paths.active_dir.rglob("segment_*"))
    assert read_manifest(target) == manifest


def test_what_a_dead_seal_left_half_written_goes(lake):
    writer = lake.writer()
    writer.append([lake.book()])
    writer.flush()
    file = lake.paths.ready_file("orderbook", writer.segment_id, lake.form)
    file.parent.mkdir(parents=True)
    half = file.with_name(f".{file.name}.tmp")
    half.write_bytes(b"PAR1")
    _die(writer)
    _recover(lake)
    assert not half.exists()
    assert lake.leftovers() == []
