"""The sign of life: read back as written, whole or not at all, even where no new file can be made."""

import pytest

from fluxforge_collector.durable import temporary
from fluxforge_collector.errors import DataError
from fluxforge_collector.health.heartbeat import Heartbeat, StreamSeen, heartbeats, leave, read_heartbeat
from fluxforge_collector.segments.names import SourcePaths


def beat(**changes):
    values = {"source": "ccxt", "collector": "c1", "version": "1", "host": "h", "pid": 1, "started_us": 5, "at_us": 9}
    return Heartbeat(**(values | changes))


@pytest.fixture
def path(tmp_path):
    found = SourcePaths(tmp_path, "ccxt").heartbeat("c1")
    found.parent.mkdir(parents=True)
    return found


def test_it_reads_back(path, tmp_path):
    written = beat(streams=(StreamSeen("okx", "A/B", "trades", 7, None),), gaps={"stale": 2}, refused=("x",))
    leave(path, written)
    assert read_heartbeat(path) == written
    assert heartbeats(tmp_path) == [path]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_where_no_new_file_can_be_made_the_old_one_is_written_over(path):
    leave(path, beat(refused=("a long text",) * 20))
    temporary(path).mkdir()  # stands in for a disk without room for a second file
    leave(path, beat(at_us=10))
    assert read_heartbeat(path) == beat(at_us=10)


def test_without_an_old_one_that_is_an_error(path):
    temporary(path).mkdir()
    with pytest.raises(OSError, match="No such file"):
        leave(path, beat())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"], ids=["empty", "torn", "list", "wrong", "bytes"]
)
def test_what_is_no_sign_of_life_is_an_error(content, path):
    path.write_bytes(content)
    with pytest.raises(DataError, match="no sign of life"):
        read_heartbeat(path)


def test_a_lake_without_any(tmp_path):
    assert heartbeats(tmp_path / "nowhere") == []
