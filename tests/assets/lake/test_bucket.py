"""What a lake in a bucket must bear: death at any moment, readers at any moment, a way that breaks."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from support.damage import (
    BTC,
    ETH,
    claim_without_manifest,
    file_left_in_processing,
    file_under_another_date,
    manifest_lost,
    part_broken,
    part_twice,
)
from support.lakes import bucket_lake, deliver, files_below, through
from support.market import DAY, NOON_US, config_of, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_rows import rows_of
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.datasets import SILVER_TRADES
from fluxforge_assets.lake.landing import ORPHAN_SECONDS, SENT_ORPHAN_SECONDS, land, waiting
from fluxforge_assets.lake.parts import parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.reading import Wanted, open_asset, patiently
from fluxforge_assets.lake.repair import Dates, faults
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.lake.update import Failed, recipe_of, update
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import StorageError
from fluxforge_collector.records import Channel
from fluxforge_collector.storage.bucket import BucketPath, refusal
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.storage.s3 import S3Store
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

ASSETS = ("silver/orderbook", "silver/trades", "gold/bars", "bronze/orderbook", "bronze/trades", "bronze/gaps")
CONFIG = config_of("unused")
TWO = (("binanceus", "BTC/USDT"), ("binanceus", "ETH/USDT"))
SECONDS = 30


@pytest.fixture(scope="module")
def market():
    return records(6, seconds=SECONDS, gaps=0.05, instruments=TWO)


@pytest.fixture(scope="module")
def filled(tmp_path_factory, market):
    """The lake as it must become, built in a directory from parts that arrived one after another."""
    folder = tmp_path_factory.mktemp("filled")
    made = Lake(folder / "lake")
    for manifest in seal(folder / "staging", market):
        deliver(folder / "staging", made, [manifest])
        land(made, "ccxt")
        list(update(made, CONFIG, "ccxt", DAY))
    return made


@pytest.fixture(scope="module")
def wanted(filled):
    return content(filled)


@pytest.fixture
def lake(filled, s3_server, tmp_path):
    """A copy of it in a bucket."""
    made = bucket_lake(s3_server, tmp_path)
    sync(LocalStore(filled.root), made.root.store, wanted=Filter())
    return made


def content(lake):
    order = ("exchange", "symbol", "ts", "capture_ts", "gap_start", "seq", "bar_us")
    frames = {asset: patiently(lambda a=asset: open_asset(lake, a, Wanted()).collect()) for asset in ASSETS}
    return {a: f.sort([name for name in order if name in f.columns]) for a, f in frames.items()}


def assert_content(lake, wanted):
    for asset, frame in content(lake).items():
        assert_frame_equal(frame, wanted[asset], rel_tol=1e-12)


def work(server, lake, *steps):
    """A process at work on the lake; it has begun."""
    victim = Path(__file__).with_name("bucket_victim.py")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    arguments = [sys.executable, str(victim), server.endpoint, str(lake.root), str(lake.local), *steps]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def killed_and_rerun(server, lake, wanted, steps, kills, longest_s):
    """Kill the work at random moments, then let it end: every row is there once, and nothing is left over."""
    rng = random.Random(seed := random.randrange(10**6))
    print("seed", seed)
    for _ in range(kills):
        process = work(server, lake, *steps)
        time.sleep(rng.uniform(0.0, longest_s))  # the moment of the kill is what is drawn, nothing is waited for
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    process = work(server, lake, *steps)
    assert process.wait(300) == 0
    process.stdout.close()
    assert_content(lake, wanted)
    assert not list(faults(lake, CONFIG, Dates()))
    assert not [name for name in files_below(lake) if name.rpartition("/")[2].startswith("_")]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [["compact"], ["replace"], ["replace", "compact", "repair"]], ids="-".join)
def test_killed_at_many_moments_every_row_is_there_once(s3_server, lake, wanted, steps):
    killed_and_rerun(s3_server, lake, wanted, steps, kills=10, longest_s=5.0)


def misplaced_and_broken(lake):
    file_left_in_processing(lake, 0)
    file_under_another_date(lake, 1)
    claim_without_manifest(lake, 2)
    part_twice(lake, BTC)
    part_broken(lake, ETH)


def manifests_lost(lake):
    manifest_lost(lake, 0)
    manifest_lost(lake, 1)


@pytest.mark.parametrize(
    ("damage", "kills"),
    [
        (misplaced_and_broken, 1),
        pytest.param(misplaced_and_broken, 10, marks=pytest.mark.slow),
        pytest.param(manifests_lost, 10, marks=pytest.mark.slow),
    ],
)
def test_a_repair_killed_anywhere_and_run_again_destroys_nothing_and_ends(s3_server, lake, wanted, damage, kills):
    """What it takes out of the lake is moved aside; every raw file stays somewhere, under its name."""
    before = {name.rpartition("/")[2] for name in files_below(lake, "raw")}
    damage(lake)
    killed_and_rerun(s3_server, lake, wanted, ["repair", "update"], kills=kills, longest_s=4.0)
    assert {name.rpartition("/")[2] for name in files_below(lake)} >= before
    assert damage is manifests_lost or len(files_below(lake, ".work/aside/processed")) >= 2


def assert_whole(lake, manifest, *stages):
    """Every file of a segment is in one of these stages at least, with the bytes its manifest names."""
    names = [name for stage in stages for name in files_below(lake, f"raw/{stage}") if not name.endswith(".json")]
    for channel, entry in manifest.channels.items():
        if entry.file:
            found = {lake.root.store.checksum(n) for n in names if f"/{channel}/" in n and f"/{entry.file}" in n}
            assert found == {entry.sha256}, (channel, manifest.id)


def change_behind(path):
    """Other bytes under the checksum of what was sent, as a store that rots has them."""
    named = {"Bucket": path.store.bucket, "Key": f"{path.store.prefix}/{path.key}"}
    sent = path.store.client.head_object(**named)["Metadata"]
    path.store.client.put_object(**named, Body=b"not what was sent", Metadata=sent)


def test_segments_land_in_their_order_and_a_bad_one_is_put_away(s3_server, tmp_path, market):
    """Several are claimed at a time; still none counts as landed before the one that was sealed before it."""
    lake = bucket_lake(s3_server, tmp_path)
    manifests = seal(tmp_path / "staging", market, segment_seconds=5)
    deliver(tmp_path / "staging", lake, manifests)
    bad, damaged = manifests[1:3]
    lake.segments("ccxt").ready_file("trades", bad.id).write_bytes(b"no parquet")
    change_behind(lake.segments("ccxt").ready_file("orderbook", damaged.id))
    done = land(lake, "ccxt")
    assert [m.id for m in done.manifests] == [m.id for m in manifests if m not in (bad, damaged)]
    assert list(done.quarantined) == [bad.id, damaged.id]
    assert "not what its checksum says" in done.quarantined[damaged.id]
    for manifest in done.manifests:
        assert_whole(lake, manifest, "archive")
    assert not waiting(lake, "ccxt")
    assert not files_below(lake, "raw/ready")
    assert not files_below(lake, "raw/processing")


@pytest.mark.parametrize(("age_s", "is_foreign"), [(ORPHAN_SECONDS * 9, False), (SENT_ORPHAN_SECONDS + 60, True)])
def test_files_whose_manifest_a_network_keeps_back_wait_for_it(s3_server, tmp_path, market, age_s, is_foreign):
    """Put away, they could be taken for those that are sent again with it."""

    class Later(S3Store):
        """The same store, some time later."""

        def children(self, key):
            found = super().children(key)
            return found._replace(objects=[e._replace(modified_s=e.modified_s - age_s) for e in found.objects])

    lake = bucket_lake(s3_server, tmp_path)
    (manifest, *_) = seal(tmp_path / "staging", market, segment_seconds=5)
    deliver(tmp_path / "staging", lake, [manifest])
    held = lake.segments("ccxt").ready_manifest(manifest.id)
    said = held.read_bytes()
    held.unlink()
    store = lake.root.store
    later = Lake(BucketPath(Later(store.settings, store.bucket, store.prefix)), lake.local)
    assert bool(land(later, "ccxt").quarantined) is is_foreign
    if not is_foreign:
        held.write_bytes(said)
        assert [m.id for m in land(later, "ccxt").manifests] == [manifest.id]


def test_landings_at_once_that_no_lock_keeps_apart_destroy_nothing(s3_server, tmp_path, market):
    """Two machines whose locks are files of their own. One may fail, or put a segment away that the other is moving;
    every file is somewhere all the same, whole, because files only ever go forward."""
    lake = bucket_lake(s3_server, tmp_path)
    manifests = seal(tmp_path / "staging", market)
    deliver(tmp_path / "staging", lake, manifests)

    def landed(name):
        with suppress(StorageError):
            land(Lake(lake.root, tmp_path / name), "ccxt")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(landed, ("one", "other")))
    land(lake, "ccxt")
    for manifest in manifests:
        assert_whole(lake, manifest, "archive", "quarantine")


@pytest.mark.slow
def test_a_landing_killed_at_many_moments_lands_everything_once(s3_server, tmp_path, market, wanted):
    lake = bucket_lake(s3_server, tmp_path)
    deliver(tmp_path / "staging", lake, seal(tmp_path / "staging", market))
    killed_and_rerun(s3_server, lake, wanted, ["update"], kills=10, longest_s=6.0)
    assert not waiting(lake, "ccxt")


def test_a_reader_sees_every_row_once_while_partitions_are_replaced(lake, wanted):
    """Through our own reader: a replacement counts from one moment on."""
    seen, stop = [], threading.Event()
    asked = Wanted(exchange="binanceus", symbol="BTC/USDT", date=DAY)
    expected = wanted["silver/orderbook"].filter(symbol="BTC-USDT")

    def read():
        while not stop.is_set():
            frame = patiently(lambda: open_asset(lake, "silver/orderbook", asked).collect())
            seen.append(frame.height)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        list(
            compact(
                lake, Compaction(min_age_hours=0), Selection(symbol="BTC-USDT"), now_us=NOON_US + 3 * 86_400_000_000
            )
        )
        for _ in range(3):
            replace(lake, recipe_of("silver/orderbook", lake, CONFIG, "ccxt"), BTC)
    finally:
        stop.set()
        reader.join()
    assert len(seen) > 1
    assert set(seen) == {expected.height}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "busy", "expired"])
def test_a_way_that_breaks_during_a_run_costs_nothing(lake, wanted, proxy, s3_server, fault):
    far = through(lake, proxy, s3_server, attempts=1)
    options, later_us = Compaction(min_age_hours=0), NOON_US + 3 * 86_400_000_000
    done = compact(far, options, Selection(), now_us=later_us)
    next(done)
    proxy.be(fault)
    with pytest.raises(StorageError):
        raise_first(done)
    recipe = recipe_of("silver/orderbook", far, CONFIG, "ccxt")
    with pytest.raises(StorageError):
        replace(far, recipe, BTC)
    for outcome in update_or_raise(far):
        assert isinstance(outcome, Failed)
        assert not outcome.is_set_aside
    proxy.be("pass")
    list(compact(far, options, Selection(), now_us=later_us))
    replace(far, recipe_of("silver/orderbook", far, CONFIG, "ccxt"), BTC)
    list(update(far, CONFIG, "ccxt", DAY))
    assert_content(lake, wanted)
    assert not list(faults(lake, CONFIG, Dates()))


@pytest.mark.parametrize("fault", ["cut", *(pytest.param(f, marks=pytest.mark.slow) for f in ("busy", "expired"))])
def test_a_way_that_breaks_is_no_fault_of_what_was_to_be_read(lake, proxy, s3_server, fault):
    """Counted as one, a network that comes and goes would put good segments into quarantine."""
    far = through(lake, proxy, s3_server, attempts=1)
    archive = Archive(far, "ccxt")
    names = archive.names(DAY)
    assert BTC.instrument.key in archive.instruments(names)
    assert archive.files("trades", DAY).own
    folder = far.partition(BTC, SILVER_TRADES.folder)
    part = folder / parts_of(folder)[0].name
    proxy.be(fault)
    for read in (
        lambda: rows_of(archive, Channel.TRADES, BTC.instrument, names),
        lambda: read_provenance(part),
        lambda: refused_or_raised(lambda: scan([part]).collect()),
    ):
        with pytest.raises(StorageError, match="the bucket cannot be read: "):
            read()


def refused_or_raised(read):
    try:
        read()
    except OSError as error:
        raise refusal(error) or error from None


def raise_first(outcomes):
    for outcome in outcomes:
        raise outcome.error


def update_or_raise(lake):
    try:
        return list(update(lake, CONFIG, "ccxt", DAY))
    except StorageError:
        return []
