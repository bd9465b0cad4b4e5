"""What a directory and a bucket promise alike."""

import hashlib
import os
import threading
import time

import pytest

from fluxforge_collector.errors import MissingError, StorageError
from fluxforge_collector.storage import Store


def keys(store, prefix=""):
    return [entry.key for entry in store.list(prefix)]


def test_it_keeps_objects(store):
    held: Store = store
    held.put("a/b/c.bin", b"one")
    held.put("a/b/c.bin", b"two")
    assert held.get("a/b/c.bin") == b"two"
    assert held.checksum("a/b/c.bin") == hashlib.sha256(b"two").hexdigest()
    held.move("a/b/c.bin", "d/e.bin")
    assert keys(held) == ["d/e.bin"]
    assert held.checksum("d/e.bin") == hashlib.sha256(b"two").hexdigest()
    held.delete("d/e.bin")
    held.delete("d/e.bin")
    assert keys(held) == []


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3_000_000)], ids=["empty", "byte", "3 MB"])
def test_bytes_come_back_as_they_went(store, tmp_path, data):
    store.put("k", data)
    assert store.get("k") == data
    (tmp_path / "there").write_bytes(data)
    store.send(tmp_path / "there", "sent/k")
    store.fetch("sent/k", tmp_path / "new" / "back")
    assert (tmp_path / "new" / "back").read_bytes() == data
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["back"]
    assert store.checksum("sent/k") == hashlib.sha256(data).hexdigest()


def test_a_listing_tells_size_and_age(store):
    store.put("k", b"four")
    entry = store.head("k")
    assert entry == next(store.list())
    assert (entry.key, entry.size) == ("k", 4)
    assert abs(entry.modified_s - time.time()) < 600
    assert store.head("l") is None


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/1", "b", "zz"])
def test_a_list_is_what_begins_with_the_prefix(store, prefix):
    made = ["a/b/1", "a/b/2", "a/c", "ab", "b/a"]
    for key in made:
        store.put(key, b"")
    assert keys(store, prefix) == [key for key in made if key.startswith(prefix)]


@pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../../x", "a//b", "a/.", "a\0"])
def test_a_hostile_key_touches_nothing(store, tmp_path, key):
    (tmp_path / "file").write_bytes(b"")
    for touch in (
        lambda: store.put(key, b""),
        lambda: store.put_if_absent(key, b""),
        lambda: store.send(tmp_path / "file", key),
        lambda: store.get(key),
        lambda: store.fetch(key, tmp_path / "fetched"),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.move(key, "k"),
        lambda: store.checksum(key),
    ):
        with pytest.raises(StorageError, match="is no key"):
            touch()
    assert not keys(store)
    assert not (tmp_path / "fetched").exists()


def test_what_is_not_there_is_one_clear_error(store, tmp_path):
    for touch in (
        lambda: store.get("k"),
        lambda: store.fetch("k", tmp_path / "k"),
        lambda: store.move("k", "l"),
        lambda: store.checksum("k"),
    ):
        with pytest.raises(MissingError):
            touch()
    assert not (tmp_path / "k").exists()


def test_the_first_to_write_a_key_keeps_it(store):
    assert store.put_if_absent("claim", b"first")
    assert not store.put_if_absent("claim", b"second")
    assert store.get("claim") == b"first"


def test_a_reader_never_sees_half_an_object(store):
    data = [bytes([n]) * 200_000 for n in range(4)]
    store.put("k", data[0])
    stop = threading.Event()

    def overwrite():
        n = 0
        while not stop.is_set():
            store.put("k", data[n % 4])
            n += 1

    writer = threading.Thread(target=overwrite)
    writer.start()
    try:
        for _ in range(40):
            seen = store.get("k")
            assert len(seen) == 200_000
            assert len(set(seen)) == 1
            assert keys(store) == ["k"]
    finally:
        stop.set()
        writer.join()
