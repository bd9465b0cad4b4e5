import os

import pytest

from fluxforge_collector.durable import (
    make_directory,
    publish,
    storage_errors,
    temporary,
    write_all,
    write_file,
)
from fluxforge_collector.errors import StorageError


def test_a_file_is_published_whole_with_the_lakes_mode(tmp_path):
    write_file(tmp_path / "a" / "b.json", b"{}")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]
    assert (tmp_path / "a" / "b.json").read_bytes() == b"{}"
    assert (tmp_path / "a" / "b.json").stat().st_mode & 0o777 == 0o640


def test_before_it_is_published_it_has_a_hidden_name(tmp_path):
    target = tmp_path / "b.json"
    temporary(target).write_bytes(b"{}")
    assert temporary(target).name.startswith(".")
    assert not list(tmp_path.glob("[!.]*"))
    publish(target)
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]


def test_directories_are_made_once(tmp_path):
    for _ in range(2):
        make_directory(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_every_byte_is_written_though_a_write_takes_only_a_part():
    read, write = os.pipe()
    os.set_blocking(read, False)
    data = os.urandom(60_000)
    write_all(write, data)
    os.close(write)
    found = b"".join(iter(lambda: os.read(read, 4096), b""))
    os.close(read)
    assert found == data


def test_what_the_system_refuses_says_what_was_attempted():
    with pytest.raises(StorageError, match="cannot fly: No space left on device — check"), storage_errors("fly"):
        raise OSError(28, "No space left on device")
