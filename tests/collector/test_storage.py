import hashlib
import os
import threading

import pytest

from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage import LocalStore, Store


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "root")


def test_it_keeps_objects(store):
    held: Store = store
    held.put("a/b/c.bin", b"one")
    held.put("a/b/c.bin", b"two")
    assert held.get("a/b/c.bin") == b"two"
    assert held.checksum("a/b/c.bin") == hashlib.sha256(b"two").hexdigest()
    held.move("a/b/c.bin", "d/e.bin")
    assert list(held.list()) == ["d/e.bin"]
    held.delete("d/e.bin")
    held.delete("d/e.bin")
    assert list(held.list()) == []


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3_000_000)], ids=["empty", "byte", "3 MB"])
def test_bytes_come_back_as_they_went(store, data):
    store.put("k", data)
    assert store.get("k") == data
    assert (store.root / "k").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/1", "b", "zz"])
def test_a_list_is_what_begins_with_the_prefix(store, prefix):
    keys = ["a/b/1", "a/b/2", "a/c", "ab", "b/a"]
    for key in keys:
        store.put(key, b"")
    (store.root / "a" / ".0123.tmp").write_bytes(b"half")
    assert list(store.list(prefix)) == [key for key in keys if key.startswith(prefix)]


@pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../../x", "a//b", "a/.", "a\0", ".x.tmp"])
def test_a_hostile_key_touches_nothing(store, key):
    for touch in (
        lambda: store.put(key, b""),
        lambda: store.put_if_absent(key, b""),
        lambda: store.get(key),
        lambda: store.delete(key),
        lambda: store.move(key, "k"),
        lambda: store.move("k", key),
        lambda: store.checksum(key),
    ):
        with pytest.raises(StorageError):
            touch()
    assert not store.root.exists()


def test_what_is_not_there_is_one_clear_error(store):
    for touch in (lambda: store.get("k"), lambda: store.move("k", "l"), lambda: store.checksum("k")):
        with pytest.raises(StorageError, match="No such file"):
            touch()


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


def _overwrite(root, stop):
    store, data = LocalStore(root), [bytes([n]) * 200_000 for n in range(4)]
    n = 0
    while not stop.is_set():
        store.put("k", data[n % 4])
        n += 1


def test_a_reader_never_sees_half_an_object(store):
    store.put("k", b"\0" * 200_000)
    stop = threading.Event()
    writer = threading.Thread(target=_overwrite, args=[store.root, stop])
    writer.start()
    for _ in range(300):
        data = store.get("k")
        assert len(data) == 200_000
        assert len(set(data)) == 1
        assert list(store.list()) == ["k"]
    stop.set()
    writer.join()


def test_a_root_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "root").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        LocalStore(tmp_path / "root").put("k", b"")
