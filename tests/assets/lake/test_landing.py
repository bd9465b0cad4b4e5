"""A bad segment goes to quarantine with its reason; the rest lands. A landing that dies is resumed by the next."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.market import DAY, records, seal

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.inspection import check_instrument, inspect_segment
from fluxforge_assets.lake.landing import ORPHAN_SECONDS, land, waiting
from fluxforge_assets.lake.marks import marks
from fluxforge_collector.errors import FluxForgeError, ManifestError, StorageError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.segments.manifest import checksum_file


@pytest.fixture
def paths(lake):
    return lake.segments("ccxt")


@pytest.fixture
def sealed(lake):
    """Six ready segments."""
    return seal(lake.root, records(1, seconds=60))


def reasons(lake):
    """Quarantined file name → reason."""
    notes = (lake.raw / "quarantine").rglob("*.reason.json")
    return {note.name.removesuffix(".reason.json"): json.loads(note.read_text())["reason"] for note in notes}


def assert_landed(paths, manifest):
    for channel, entry in manifest.channels.items():
        if entry.file:
            file = paths.archive_file(channel, manifest.date, manifest.id)
            assert checksum_file(file) == entry.sha256
    assert paths.archive_manifest(manifest.date, manifest.id).exists()


def test_everything_ready_lands_with_its_bytes(lake, paths, sealed):
    done = land(lake, "ccxt")
    assert [m.id for m in done.manifests] == [m.id for m in sealed]
    for manifest in sealed:
        assert_landed(paths, manifest)
    assert not [p for p in (*paths.ready_dir.rglob("*"), *paths.processing_dir.rglob("*")) if p.is_file()]
    assert [(m.source, m.date, m.is_dirty) for m in marks(lake)] == [("ccxt", DAY, True)]


def test_only_the_dates_asked_for_land(lake, sealed):
    assert land(lake, "ccxt", ["2026-11-19"]).manifests == []
    assert len(waiting(lake, "ccxt")) == len(sealed)


def break_bytes(paths, manifest):
    file = paths.ready_file("orderbook", manifest.id)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut_short(paths, manifest):
    file = paths.ready_file("trades", manifest.id)
    file.write_bytes(file.read_bytes()[:-10])


def take_away(paths, manifest):
    paths.ready_file("trades", manifest.id).unlink()


def spoil_manifest(paths, manifest):
    paths.ready_manifest(manifest.id).write_text("{not json")


def claim_other_rows(paths, manifest):
    path = paths.ready_manifest(manifest.id)
    text = json.loads(path.read_text())
    text["channels"]["trades"]["sha256"] = "0" * 64
    path.write_text(json.dumps(text))


def rewrite(paths, manifest, table):
    """Another table in place of the trades, with a manifest that agrees in size and checksum."""
    file = paths.ready_file("trades", manifest.id)
    pq.write_table(table, file)
    path = paths.ready_manifest(manifest.id)
    text = json.loads(path.read_text())
    text["channels"]["trades"] |= {"bytes": file.stat().st_size, "sha256": checksum_file(file)}
    path.write_text(json.dumps(text))


def lose_a_column(paths, manifest):
    table = pq.read_table(paths.ready_file("trades", manifest.id))
    rewrite(paths, manifest, table.drop_columns(["price"]))


def turn_around(paths, manifest):
    table = pq.read_table(paths.ready_file("trades", manifest.id))
    rewrite(paths, manifest, table.take(list(reversed(range(table.num_rows)))))


def rename_symbol(paths, manifest):
    file = paths.ready_file("trades", manifest.id)
    table = pq.read_table(file)
    names = pa.array(["../../etc/x"] * table.num_rows).dictionary_encode()
    table = table.set_column(table.schema.get_field_index("symbol"), table.schema.field("symbol"), names)
    rewrite(paths, manifest, table)


def name_hostile_instrument(paths, manifest):
    path = paths.ready_manifest(manifest.id)
    key = Instrument("binanceus", "../../etc/x").key
    text = path.read_text().replace('"binanceus:BTC-USDT"', json.dumps(key))
    path.write_text(text)


FAULTS = {
    f.__name__: (f, words)
    for f, words in [
        (break_bytes, "sha256"),
        (cut_short, "bytes"),
        (take_away, "cannot read"),
        (spoil_manifest, "is broken"),
        (claim_other_rows, "sha256"),
        (lose_a_column, "column"),
        (turn_around, "not sorted"),
        (rename_symbol, "not those of the manifest"),
        (name_hostile_instrument, "no market's symbol"),
    ]
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)
def test_a_bad_segment_is_quarantined_with_its_reason_and_the_rest_lands(lake, paths, sealed, fault, words):
    bad = sealed[2]
    fault(paths, bad)
    done = land(lake, "ccxt")
    assert words in done.quarantined[bad.id]
    assert [m.id for m in done.manifests] == [m.id for m in sealed if m is not bad]
    assert all(words in reason for reason in reasons(lake).values())
    kept = {p.name for p in paths.quarantine_dir.rglob("*") if p.is_file() and not p.name.endswith(".reason.json")}
    assert f"segment_{bad.id}.json" in kept
    assert not waiting(lake, "ccxt")
    assert land(lake, "ccxt").manifests == []


def test_foreign_files_are_quarantined(lake, paths, sealed):
    (paths.ready_dir / "notes.txt").write_text("hello")
    (paths.ready_dir / "trades" / "export.csv").write_text("1,2")
    (lake.raw / "ready" / "stray.parquet").write_bytes(b"x")
    done = land(lake, "ccxt")
    assert len(done.manifests) == len(sealed)
    assert set(reasons(lake)) == {"notes.txt", "export.csv", "stray.parquet"}


def test_a_file_may_wait_for_its_manifest_but_not_forever(lake, paths, sealed):
    first = sealed[0]
    manifest = paths.ready_manifest(first.id)
    held = manifest.read_bytes()
    manifest.unlink()
    land(lake, "ccxt")
    assert paths.ready_file("trades", first.id).exists()
    manifest.write_bytes(held)
    assert [m.id for m in land(lake, "ccxt").manifests] == [first.id]

    orphan = paths.ready_file("trades", first.id)
    orphan.write_bytes(b"x")
    os.utime(orphan, (time.time() - ORPHAN_SECONDS - 1,) * 2)
    land(lake, "ccxt")
    assert not orphan.exists()
    assert "did not come" in reasons(lake)[orphan.name]


def test_a_copy_of_a_landed_segment_does_not_land_again(lake, paths, sealed):
    first = sealed[0]
    held = paths.ready_manifest(first.id).read_bytes()
    land(lake, "ccxt")
    paths.ready_manifest(first.id).write_bytes(held)
    assert not land(lake, "ccxt").quarantined
    assert not paths.ready_manifest(first.id).exists()
    assert_landed(paths, first)


def test_another_segment_of_a_landed_name_is_quarantined(lake, paths, sealed):
    first = sealed[0]
    held = paths.ready_manifest(first.id).read_bytes()
    land(lake, "ccxt")
    paths.ready_manifest(first.id).write_bytes(held + b" ")
    done = land(lake, "ccxt")
    assert "landed before" in done.quarantined[first.id]
    assert_landed(paths, first)


def test_a_quarantined_segment_can_be_put_back(lake, paths, sealed):
    """Mended by hand and moved back to ready, it lands."""
    bad = sealed[1]
    file = paths.ready_file("trades", bad.id)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    land(lake, "ccxt")
    for path in [p for p in paths.quarantine_dir.rglob("segment_*") if not p.name.endswith(".reason.json")]:
        path.rename(paths.ready_dir / path.relative_to(paths.quarantine_dir))
    file.write_bytes(whole)
    assert [m.id for m in land(lake, "ccxt").manifests] == [bad.id]


def test_landings_at_once_land_everything_once(lake, paths, sealed):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: land(lake, "ccxt"), range(4)))
    assert sorted(m.id for d in done for m in d.manifests) == sorted(m.id for m in sealed)
    assert not any(d.quarantined for d in done)
    for manifest in sealed:
        assert_landed(paths, manifest)


VICTIM = """
import os, sys
from pathlib import Path
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
moves = int(sys.argv[2])
rename = Path.rename
def counted(self, target):
    global moves
    if moves == 0:
        os.kill(os.getpid(), 9)
    moves -= 1
    return rename(self, target)
Path.rename = counted
land(Lake(Path(sys.argv[1])), "ccxt")
"""


@pytest.mark.parametrize("moves", [0, 1, 2, 3, 5, 6, 8, 11])
def test_a_landing_killed_anywhere_is_resumed(lake, paths, moves):
    """The process dies before its n-th rename; the next landing leaves everything archived once."""
    sealed = seal(lake.root, records(2, seconds=20))
    victim = subprocess.run([sys.executable, "-c", VICTIM, str(lake.root), str(moves)], check=False)
    assert victim.returncode == -signal.SIGKILL
    land(lake, "ccxt")
    assert not reasons(lake)
    assert [n.id for n in Archive(lake, "ccxt").names(DAY)] == [m.id for m in sealed]
    for manifest in sealed:
        assert_landed(paths, manifest)


@pytest.mark.parametrize("symbol", ["../../etc/x", "..", "/", "a/../b", "BTC\n/USDT", "\\..\\x"])
def test_symbols_made_to_leave_a_directory_are_refused(symbol):
    with pytest.raises(FluxForgeError):
        check_instrument(Instrument("binanceus", symbol).key)


def of_ours():
    raise ZeroDivisionError("a defect of ours")


def of_the_disk():
    raise ManifestError("cannot read it", "look") from OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("fails", "said"), [(of_ours, "ZeroDivisionError: a defect of ours"), (of_the_disk, "cannot read it — look")]
)
def test_a_segment_that_fails_unexpectedly_is_tried_again_then_quarantined_and_the_rest_lands(lake, fails, said):
    """Whatever is wrong with it is no reason to keep back the others; what it failed of is told with it."""
    manifests = seal(lake.root, records(5, seconds=30))
    bad = manifests[0].id

    def inspect(manifest, directory):
        if manifest.id == bad:
            fails()
        inspect_segment(manifest, directory)

    rounds = [land(lake, "ccxt", max_tries=3, inspect=inspect) for _ in range(4)]
    assert [m.id for m in rounds[0].manifests] == [m.id for m in manifests[1:]]
    assert [list(r.failed) for r in rounds] == [[bad], [bad], [], []]
    assert [r.quarantined for r in rounds] == [{}, {}, {bad: f"{said} (3 tries)"}, {}]
    assert waiting(lake, "ccxt") == []


def test_a_disk_that_refuses_is_no_fault_of_the_segment(lake):
    """The landing ends; the segment waits, and lands once the disk is well."""
    (manifest,) = seal(lake.root, records(5, seconds=5))

    def inspect(_manifest, _directory):
        raise StorageError("cannot read: Input/output error", "check the disk")

    for _ in range(9):
        with pytest.raises(StorageError):
            land(lake, "ccxt", inspect=inspect)
    assert [m.id for m in land(lake, "ccxt").manifests] == [manifest.id]
