"""What is said of the lake itself, with files standing in it."""

import os

import pytest
from support.lakes import bucket_lake

from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Level
from fluxforge_collector.health.lake import Waiting, look
from fluxforge_collector.health.standing import check
from fluxforge_collector.segments.names import SourcePaths, new_segment_id

NOW_US = 1_800_000_000_000_000
SECOND = 1_000_000


@pytest.fixture
def paths(tmp_path):
    found = SourcePaths(tmp_path, "ccxt")
    for directory in (found.active_dir, found.ready_dir / "trades", found.processing_dir):
        directory.mkdir(parents=True)
    return found


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    return path


def troubles(paths, **health):
    config = Config.model_validate({"lake": {"root": str(paths.root)}, "health": {"min_free_mb": 0, **health}})
    return [(f.level, f.what, f.text, f.since_us) for f in check(config, NOW_US) if f.level]


def test_an_empty_lake_is_well(paths):
    assert troubles(paths) == []


def test_segments_that_wait_too_long(paths):
    starts = [NOW_US - 2000 * SECOND, NOW_US - 100 * SECOND]
    for start_us in starts:
        put(paths.ready_manifest(new_segment_id(start_us, "c1")))
    put(paths.ready_dir / "segment_foreign.json")
    assert look(paths.root, paths.root).waiting["ccxt", "ready"].segments == 2
    assert troubles(paths) == [
        (Level.DEGRADED, "segments of ccxt in ready", "2, the oldest began 33 min 20 s ago", starts[0])
    ]
    assert troubles(paths, waiting_seconds=3000) == []


def test_a_file_put_aside_is_told_of_for_a_day(paths):
    reason = put(paths.quarantine_file("trades", "segment_x.parquet.reason.json"))
    put(paths.quarantine_file("trades", "segment_x.parquet"))
    for age_s, expected in ((3600, [Level.DEGRADED]), (90_000, [])):
        os.utime(reason, ns=((NOW_US - age_s * SECOND) * 1000,) * 2)
        assert [level for level, *_ in troubles(paths)] == expected
    assert look(paths.root, paths.root).quarantined["ccxt"].files == 1


def test_a_disk_with_little_room(paths):
    assert [level for level, *_ in troubles(paths, min_free_mb=1 << 40)] == [Level.DEGRADED]


def test_a_lake_that_is_not_there(paths, tmp_path):
    paths = SourcePaths(tmp_path / "nowhere", "ccxt")
    assert [level for level, *_ in troubles(paths)] == [Level.DOWN]


def test_a_lake_in_a_bucket_is_looked_at_the_same_way(s3_server, tmp_path):
    lake = bucket_lake(s3_server, tmp_path)
    paths = SourcePaths(lake.root, "ccxt")
    start_us = NOW_US - 2000 * SECOND
    paths.ready_manifest(new_segment_id(start_us, "c1")).write_bytes(b"{}")
    paths.quarantine_file("trades", "segment_x.parquet.reason.json").write_bytes(b"{}")
    state = look(lake.root, tmp_path)
    assert state.waiting == {("ccxt", "ready"): Waiting(1, start_us), ("ccxt", "processing"): Waiting(0, None)}
    assert state.quarantined["ccxt"].files == 1


def test_a_bucket_that_cannot_be_reached_is_one_finding(tmp_path, unused_port):
    (tmp_path / "work").mkdir()
    values = {
        "lake": {"root": "s3://nowhere/x", "work": str(tmp_path / "work")},
        "storage": {
            "endpoint": f"http://127.0.0.1:{unused_port}", "access_key": "a", "secret_key": "b", "attempts": 1,
        },
    }  # fmt: skip
    (finding,) = (found for found in check(Config.model_validate(values), NOW_US) if found.what != "disk")
    assert (finding.level, finding.what) == (Level.DEGRADED, "lake"), "what is sealed stays on the disk till then"
    assert finding.text.startswith("s3://nowhere/x cannot be looked at: ")
