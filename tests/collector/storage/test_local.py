"""What a directory promises beyond what any store does."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.local import LocalStore


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


def test_files_are_not_for_everybody(store):
    store.put("k", b"x")
    assert (store.root / "k").stat().st_mode & 0o777 == 0o640


def test_half_written_files_are_no_objects(store):
    store.put("a/k", b"x")
    (store.root / "a" / ".0123.tmp").write_bytes(b"half")
    assert [entry.key for entry in store.list()] == ["a/k"]
    with pytest.raises(StorageError, match="is no key"):
        store.get("a/.0123.tmp")


def test_a_listing_bears_what_comes_and_goes_meanwhile(store):
    """Runs build partitions in folders that are gone a moment later."""
    store.put("stays", b"x")
    is_over = threading.Event()

    def build():
        while not is_over.is_set():
            for number in range(20):
                (store.root / "build" / str(number)).mkdir(parents=True)
            shutil.rmtree(store.root / "build")

    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(build)
        try:
            listings = [[entry.key for entry in store.list()] for _ in range(300)]
        finally:
            is_over.set()
        building.result()
    assert all("stays" in keys for keys in listings)


def test_of_many_at_once_one_is_the_first(store):
    wins, barrier = [], threading.Barrier(8)

    def claim(who):
        barrier.wait()
        if store.put_if_absent("claim", str(who).encode()):
            wins.append(who)

    threads = [threading.Thread(target=claim, args=[who]) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert store.get("claim") == str(wins[0]).encode()
    assert list(store.root.iterdir()) == [store.root / "claim"]


def test_a_root_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        LocalStore(tmp_path / "root").put("k", b"")
