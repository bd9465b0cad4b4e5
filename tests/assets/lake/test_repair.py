"""Every fault is found without changing anything, mended without destroying anything, and then gone."""

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.damage import (
    BTC,
    ETH,
    claim_without_manifest,
    copy,
    file_left_in_processing,
    file_under_another_date,
    manifest_lost,
    part_broken,
    part_twice,
    part_under_another_symbol,
    segments,
)
from support.lakes import bucket_lake, deliver, files_below
from support.market import DAY, config_of, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_rows import rows_of
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK, SILVER_TRADES
from fluxforge_assets.lake.landing import land, landing_lock
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.reading import Wanted, open_asset
from fluxforge_assets.lake.repair import Dates, faults, mend
from fluxforge_assets.lake.replacing import NOTE
from fluxforge_assets.lake.update import recipe_of, update
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.storage.changes import move, write
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

CONFIG = config_of("unused")
TWO = (("binanceus", "BTC/USDT"), ("binanceus", "ETH/USDT"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A little of everything, built once."""
    folder = tmp_path_factory.mktemp("filled")
    made = Lake(folder / "lake")
    for manifest in seal(folder / "staging", records(4, seconds=25, gaps=0.05, instruments=TWO)):
        deliver(folder / "staging", made, [manifest])
        land(made, "ccxt")
        list(update(made, CONFIG, "ccxt", DAY))
    return made


def in_bucket(filled, server, tmp_path):
    made = bucket_lake(server, tmp_path)
    sync(LocalStore(filled.root), made.root.store, wanted=Filter())
    return made


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def lake(request, filled, tmp_path):
    """A copy of it, of either kind."""
    if request.param == "s3":
        return in_bucket(filled, request.getfixturevalue("s3_server"), tmp_path)
    shutil.copytree(filled.root, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def content(lake):
    order = ["exchange", "symbol", "ts", "seq"]
    found = {a: open_asset(lake, a, Wanted()).collect() for a in ("silver/orderbook", "silver/trades", "bronze/trades")}
    return {a: f.sort([c for c in (*order, "capture_ts") if c in f.columns]) for a, f in found.items()}


def test_a_lake_in_order_has_no_faults(lake):
    before = files_below(lake)
    assert not list(faults(lake, CONFIG, Dates()))
    assert files_below(lake) == before


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (claim_without_manifest, "claim"),
        (file_left_in_processing, "claim"),
        (file_under_another_date, "misplaced"),
        (manifest_lost, "manifest"),
        (part_twice, "overlap"),
        (part_broken, "unreadable"),
        (part_under_another_symbol, "mismatch"),
    ],
)
def test_a_fault_is_found_mended_and_gone(lake, damage, kind):
    wanted = content(lake)
    damage(lake)
    before = files_below(lake)
    found = list(faults(lake, CONFIG, Dates()))
    assert kind in {fault.kind for fault in found}
    assert files_below(lake) == before, "finding changes nothing"
    for fault in found:
        if fault.mend is not None:
            assert mend(fault) is None
    assert not [fault for fault in faults(lake, CONFIG, Dates()) if fault.mend is not None]
    names = {name.rpartition("/")[2] for name in files_below(lake)}
    assert names >= {name.rpartition("/")[2] for name in before if name.startswith("raw/")}, "nothing is destroyed"
    if kind in {"overlap", "unreadable", "mismatch"}:
        assert files_below(lake, ".work/aside") or damage is part_under_another_symbol
    if damage is part_under_another_symbol:
        back = lake.partition(ETH, SILVER_TRADES.folder)
        for name in [n for n in files_below(lake, ".work") if "/hidden/" in n]:
            move(lake.root / name, back / name.rpartition("/")[2])
    list(update(lake, CONFIG, "ccxt", DAY))
    for asset, frame in content(lake).items():
        assert_frame_equal(frame, wanted[asset])


@pytest.mark.slow
def test_killed_before_many_changes_and_run_again_it_ends(lives, filled, tmp_path):
    """A part that was taken out is computed again, however late the death comes."""
    wanted = content(filled)

    def damaged(name):
        shutil.copytree(filled.root, tmp_path / name)
        part_twice(Lake(tmp_path / name), BTC)
        part_broken(Lake(tmp_path / name), ETH)
        return tmp_path / name

    changes = lives("repair", damaged("whole"))["changes"]
    for point in range(1, changes + 1, max(1, changes // 12)):
        root = damaged(f"killed-{point}")
        assert lives("repair", root, point)["ended"] == -signal.SIGKILL
        assert lives("repair", root)["failed"] == []
        assert not list(faults(Lake(root), CONFIG, Dates()))
        for asset, frame in content(Lake(root)).items():
            assert_frame_equal(frame, wanted[asset])


def test_a_manifest_written_anew_tells_what_the_files_hold(lake):
    paths, name = lake.segments("ccxt"), segments(lake)[0]
    before = read_manifest(paths.archive_manifest(DAY, name.id))
    manifest_lost(lake)
    for fault in list(faults(lake, CONFIG, Dates())):
        mend(fault)
    after = read_manifest(paths.archive_manifest(DAY, name.id))
    kept = {c: e for c, e in before.channels.items() if e.file}
    assert after.channels == kept
    assert after.to_us <= before.to_us
    rows = rows_of(Archive(lake, "ccxt"), Channel.TRADES, BTC.instrument, [name])
    assert rows.num_rows == before.channels["trades"].instruments[BTC.instrument.key].rows


def test_a_manifest_that_a_landing_was_about_to_write_stays_as_it_is(lake):
    """Seen between the files of a landing segment and its manifest, it would be written anew with less in it."""
    manifest = lake.segments("ccxt").archive_manifest(DAY, segments(lake)[0].id)
    whole = manifest.read_bytes()
    manifest_lost(lake)
    (fault,) = faults(lake, CONFIG, Dates())
    write(manifest, whole)
    assert mend(fault) is None
    assert manifest.read_bytes() == whole


def test_a_part_that_was_replaced_since_it_was_found_is_left_alone(lake):
    part_broken(lake)
    (fault,) = faults(lake, CONFIG, Dates())
    replace(lake, recipe_of("silver/orderbook", lake, CONFIG, "ccxt"), BTC)
    before = files_below(lake)
    assert mend(fault) is None
    assert files_below(lake) == before


def test_a_part_that_goes_while_it_is_looked_at_is_not_called_unreadable(filled, tmp_path):
    """Real time merges the parts of the day meanwhile; it goes each time here, where it would be another each time."""
    shutil.copytree(filled.root, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    folder = lake.partition(BTC, SILVER_TRADES.folder)
    part = folder / parts_of(folder)[0].name
    part.unlink()
    part.symlink_to("nowhere")
    (fault,) = faults(lake, CONFIG, Dates())
    assert (fault.path, fault.mend) == (folder, None)
    assert "kept vanishing" in fault.problem


def test_a_part_that_was_moved_is_marked_between_what_others_mark_and_settle(lake):
    """Marked while a run settles its date, it would be settled unseen."""
    part_under_another_symbol(lake)
    (fault,) = faults(lake, CONFIG, Dates())
    with ThreadPoolExecutor(1) as pool:
        with locked(lake, landing_lock("ccxt")):
            before = marks(lake)
            mending = pool.submit(mend, fault)
            with pytest.raises(TimeoutError):
                mending.result(timeout=0.5)
            assert marks(lake) == before
        assert mending.result() is None
    assert marks(lake) != before


def test_a_file_whose_segment_a_landing_has_taken_up_since_is_left_to_it(lake, tmp_path):
    (manifest,) = seal(tmp_path / "new", records(5, seconds=5, instruments=TWO), collector="c2")
    deliver(tmp_path / "new", lake, [manifest])
    paths = lake.segments("ccxt")
    files = {c: e for c, e in manifest.channels.items() if e.file}
    for channel in files:
        move(paths.ready_file(channel, manifest.id), paths.processing_file(channel, manifest.id))
    held = tmp_path / "held"
    held.write_bytes(paths.ready_manifest(manifest.id).read_bytes())
    paths.ready_manifest(manifest.id).unlink()
    found = list(faults(lake, CONFIG, Dates()))
    assert {fault.problem for fault in found} == {"found in processing, of no segment"}
    write(paths.processing_manifest(manifest.id), held.read_bytes())
    assert [mend(fault) for fault in found] == [None] * len(files)
    assert not files_below(lake, "raw/quarantine")
    assert [m.id for m in land(lake, "ccxt").manifests] == [manifest.id]


def test_what_is_lost_for_good_is_said_and_left(lake):
    paths, name = lake.segments("ccxt"), segments(lake)[0]
    paths.archive_file("trades", DAY, name.id).unlink()
    (fault,) = faults(lake, CONFIG, Dates())
    assert (fault.kind, fault.mend) == ("lost", None)
    assert not list(faults(lake, CONFIG, Dates(first="2026-11-21")))


def test_a_replacement_broken_off_is_undone_or_finished(filled, tmp_path, s3_server):
    lake = in_bucket(filled, s3_server, tmp_path)
    wanted = content(lake)["silver/orderbook"]
    folder = lake.partition(BTC, SILVER_ORDERBOOK.folder)
    old, *rest = parts_of(folder)
    new = f"part-{old.from_us}-{old.to_us}-0123456789ab.parquet"
    copy(folder / old.name, folder / new)
    for is_done, stays in ((False, old.name), (True, new)):
        copy(folder / parts_of(folder)[0].name, folder / new)
        copy(folder / new, folder / old.name)
        note = f'{{"token": "t", "new": ["{new}"], "old": ["{old.name}"], "is_done": {str(is_done).lower()}}}'
        write(folder / NOTE, note.encode())
        assert_frame_equal(content(lake)["silver/orderbook"], wanted)
        (fault,) = [f for f in faults(lake, CONFIG, Dates()) if f.kind == "replacement"]
        assert mend(fault) is None
        assert sorted(p.name for p in parts_of(folder)) == sorted([stays, *(p.name for p in rest)])
        assert pl.read_parquet((folder / stays).open_input()).height > 0
        assert not list(faults(lake, CONFIG, Dates()))
