import os
import random
import signal
import subprocess
import sys
import time

import pytest
from support.fault_proxy import FaultProxy
from support.market import records, seal

from fluxforge_collector.config.model import Retention
from fluxforge_collector.errors import DataError, StorageError, UnreachableError
from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.service.absence import last_manifest
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.storage.s3 import S3Store
from fluxforge_collector.transfer.delivery import deliver, forget, waiting

DAY_S = 86_400


@pytest.fixture
def landing(tmp_path):
    """A collector's disk with sealed segments, and their manifests."""
    root = tmp_path / "landing"
    return root, seal(root, records(1, seconds=30))


def deliver_all(root, store):
    for one in waiting(root):
        deliver(one, store, 4)


def check_all_there(store, root, manifests, tmp_path):
    """Every segment is in the store's ready directory with the bytes its manifest names, once, and gone from here."""
    there = tmp_path / "there"
    for entry in store.list("raw/"):
        store.fetch(entry.key, there / entry.key)
    paths = SourcePaths(there, "ccxt")
    assert {p.name for p in paths.ready_dir.glob("*.json")} == {f"segment_{m.id}.json" for m in manifests}
    for manifest in manifests:
        assert read_manifest(paths.ready_manifest(manifest.id)) == manifest
        verify(manifest, paths.ready_dir)
    assert not waiting(root)
    assert not list(SourcePaths(root, "ccxt").ready_dir.rglob("segment_*"))


def test_what_is_sealed_is_in_the_bucket_and_kept_for_a_while(landing, s3_store, tmp_path):
    root, manifests = landing
    deliver_all(root, s3_store)
    check_all_there(s3_store, root, manifests, tmp_path)
    kept = list((root / "raw" / "uploaded").rglob("segment_*.parquet"))
    assert len(kept) == sum(entry.file is not None for m in manifests for entry in m.channels.values())
    assert last_manifest(SourcePaths(root, "ccxt"), "c1", manifests[-1].to_us) == manifests[-1]


def test_the_manifest_is_never_there_before_its_files(landing, tmp_path):
    root, manifests = landing

    class Full(LocalStore):
        def send(self, file, key):
            if "trades" in key:
                raise StorageError("no space", "make some")
            super().send(file, key)

    store = Full(tmp_path / "store")
    with pytest.raises(StorageError):
        deliver_all(root, store)
    assert not [entry for entry in store.list() if entry.key.endswith(".json")]
    deliver_all(root, LocalStore(store.root))
    check_all_there(store, root, manifests, tmp_path)


@pytest.mark.parametrize("stage", ["ready", "processing", "archive", "quarantine"])
def test_a_segment_the_lake_has_is_not_sent_again(landing, tmp_path, stage):
    """Whoever sent it died before it moved its own copy; meanwhile a run has taken it on."""
    root, manifests = landing
    store, first = LocalStore(tmp_path / "store"), manifests[0]
    there = SourcePaths(store.root, "ccxt").manifests(first.id)
    key = next(p for p in there if f"/{stage}/" in str(p)).relative_to(store.root).as_posix()
    store.send(SourcePaths(root, "ccxt").ready_manifest(first.id), key)
    assert deliver(waiting(root)[0], store, 4).size == 0
    assert [entry.key for entry in store.list()] == [key]
    assert len(waiting(root)) == len(manifests) - 1


def test_another_segment_of_the_same_name_is_never_overwritten(landing, s3_store):
    root, manifests = landing
    one = waiting(root)[0]
    key = one.paths.ready_manifest(one.name.id).relative_to(root).as_posix()

    class Late(S3Store):
        """The other one comes between the look and the write."""

        def head(self, asked):
            return None if asked == key else super().head(asked)

    store = Late(s3_store.settings, s3_store.bucket, s3_store.prefix)
    store.put(key, b"another")
    with pytest.raises(DataError, match="another segment"):
        deliver(one, store, 4)
    assert store.get(key) == b"another"
    assert len(waiting(root)) == len(manifests)


@pytest.mark.parametrize("fault", ["cut", "busy", "expired", "truncate"])
def test_a_broken_way_loses_and_doubles_nothing(landing, s3_server, s3_store, tmp_path, fault):
    root, manifests = landing
    proxy = FaultProxy(s3_server.port)
    try:
        settings = s3_server.settings(endpoint=proxy.endpoint, attempts=1)
        store = S3Store(settings, s3_store.bucket, s3_store.prefix)
        deliver(waiting(root)[0], store, 4)
        proxy.be(fault)
        if fault != "truncate":  # what is cut off amid an answer may have arrived
            with pytest.raises(StorageError if fault == "expired" else UnreachableError):
                deliver_all(root, store)
            assert len(waiting(root)) == len(manifests) - 1
        proxy.be("pass")
        deliver_all(root, store)
        check_all_there(s3_store, root, manifests, tmp_path)
    finally:
        proxy.stop()


def test_copies_go_by_their_days_and_the_last_manifests_stay(landing, tmp_path):
    root, manifests = landing
    deliver_all(root, LocalStore(tmp_path / "store"))
    for ahead in ("2999-01-01", "2999-01-02"):  # of a run whose clock was wrong
        (SourcePaths(root, "ccxt").uploaded_dir / f"date={ahead}").mkdir()
    sent_s = manifests[-1].to_us / 1e6
    assert forget(root, Retention(keep_local_days=1, min_free_mb=0), now_s=sent_s + DAY_S / 2) == 0
    assert forget(root, Retention(keep_local_days=None, min_free_mb=0), now_s=sent_s + 9 * DAY_S) == 0
    assert forget(root, Retention(keep_local_days=1, min_free_mb=0), now_s=sent_s + 3 * DAY_S) > 0
    assert not list(root.rglob("segment_*.parquet"))
    assert last_manifest(SourcePaths(root, "ccxt"), "c1", manifests[-1].to_us) == manifests[-1]


def test_where_the_disk_gets_full_copies_go_earlier_but_nothing_unsent(landing, tmp_path):
    root, manifests = landing
    deliver(waiting(root)[0], LocalStore(tmp_path / "store"), 4)
    assert forget(root, Retention(keep_local_days=None, min_free_mb=10**9)) > 0
    assert not list((root / "raw" / "uploaded").rglob("segment_*.parquet"))
    assert len(waiting(root)) == len(manifests) - 1


SENDER = """
import sys
from pathlib import Path
from fluxforge_collector.config.load import load_config
from fluxforge_collector.storage.bucket import open_store
from fluxforge_collector.transfer.delivery import deliver, waiting
store = open_store(sys.argv[2], load_config().storage)
print("ready", flush=True)
for one in waiting(Path(sys.argv[1])):
    deliver(one, store, 2)
"""


def killed_and_rerun(server, root, manifests, s3_store, tmp_path, kills):
    rng = random.Random(seed := random.randrange(10**6))
    print("seed", seed)
    named = {"ENDPOINT": server.endpoint, "REGION": "us-east-1", "ACCESS_KEY": "test:tester", "SECRET_KEY": "testing"}
    environment = os.environ | {f"FLUXFORGE__STORAGE__{name}": value for name, value in named.items()}
    for kill in range(kills + 1):
        process = subprocess.Popen(
            [sys.executable, "-c", SENDER, str(root), str(s3_store)], env=environment, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        if kill < kills:
            time.sleep(rng.uniform(0.0, 1.0))  # the moment of the kill is what is drawn, nothing is waited for
            process.send_signal(signal.SIGKILL)
        assert process.wait(120) == 0 or kill < kills
        process.stdout.close()
    check_all_there(s3_store, root, manifests, tmp_path)


def test_killed_anywhere_it_goes_on_where_it_was(landing, s3_server, s3_store, tmp_path):
    killed_and_rerun(s3_server, *landing, s3_store, tmp_path, kills=2)


@pytest.mark.slow
def test_killed_at_many_moments_it_goes_on_where_it_was(s3_server, s3_store, tmp_path):
    manifests = seal(tmp_path / "landing", records(2, seconds=600))
    killed_and_rerun(s3_server, tmp_path / "landing", manifests, s3_store, tmp_path, kills=20)
