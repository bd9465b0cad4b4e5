"""Copies of small objects on the disk: taken anew where the object changed, and never more than so many."""

from concurrent.futures import ThreadPoolExecutor

from support.lakes import bucket_lake

from fluxforge_collector.storage import Entry
from fluxforge_collector.storage.bucket import CACHED_FOLDERS, BucketPath, matching, nearby


def test_a_copy_is_kept_while_the_object_is_the_same_and_those_not_looked_at_make_room(s3_server, tmp_path):
    root = bucket_lake(s3_server, tmp_path).root
    days = [f"date={day:02}" for day in range(CACHED_FOLDERS + 2)]
    for day in days:
        (root / day / "segment.json").write_bytes(day.encode())
        (listed,) = matching(root / day, "*")
        near = nearby(listed, tmp_path)
        assert near.read_bytes() == day.encode()
        assert nearby(listed, tmp_path) == near
        (first,) = matching(root / days[0], "*")
        nearby(first, tmp_path)
    assert {folder.name for folder in (tmp_path / "cache").iterdir()} == {days[0], *days[3:]}
    (root / days[-1] / "segment.json").write_bytes(b"another")
    (listed,) = matching(root / days[-1], "*")
    assert nearby(listed, tmp_path).read_bytes() == b"another"


def test_several_make_room_in_the_cache_at_once(tmp_path):
    """As a backfill of old dates and the real-time run do, each in a process of its own."""

    class Near:
        def fetch(self, key, file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(key)

    def look(run):
        for day in range(100):
            key = f"date={run}-{day}/segment.json"
            yield nearby(BucketPath(Near(), key, Entry(key, 1, 0.0, "md5")), tmp_path).name

    with ThreadPoolExecutor(4) as pool:
        assert [len(names) for names in pool.map(lambda run: list(look(run)), range(4))] == [100] * 4
