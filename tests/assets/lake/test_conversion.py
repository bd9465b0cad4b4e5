"""Legacy segments become Parquet ones with the same rows, whatever happens meanwhile; killed anywhere, the next run ends it."""

import json
import os
import random
import shutil
import signal
from functools import partial

import pyarrow as pa
import pytest
import yaml
from polars.testing import assert_frame_equal
from support.market import deliver, records, seal

from fluxforge_assets.lake.conversion import Converted, NotConverted, convert, legacy_segments
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.reading import BRONZE, Wanted, open_asset
from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.segments.manifest import checksum_file, read_manifest, verify, verify_file, write_manifest


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A lake of legacy segments, three landed and three still ready."""
    root = tmp_path_factory.mktemp("legacy")
    lake = Lake(root / "lake")
    made = records(2, seconds=60, gaps=0.05, instruments=(("okx", "BTC/USDT:USDT"), ("okx", "ETH/USDT")))
    manifests = seal(root / "staging", made, raw_format="ndjson")
    deliver(root / "staging", lake.root, manifests[:3])
    land(lake, "ccxt")
    deliver(root / "staging", lake.root, manifests[3:])
    return lake


@pytest.fixture
def lake(template, tmp_path):
    shutil.copytree(template.root, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def legacy_files(lake):
    return sorted(lake.raw.rglob("*.ndjson.zst"))


def run(lake):
    return list(convert(lake, legacy_segments(lake, "ccxt"), Ingestion()))


def everything(lake):
    """All rows, the ready segments landed in a copy of the lake."""
    copy = Lake(lake.root.with_name(f"{lake.root.name}-read"))
    shutil.copytree(lake.root, copy.root)
    assert not land(copy, "ccxt").quarantined
    found = [open_asset(copy, asset, Wanted()).collect() for asset in BRONZE]
    shutil.rmtree(copy.root)
    return found


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert other.height
        assert_frame_equal(one, other, check_exact=True)


def assert_converted(lake):
    assert legacy_files(lake) == []
    assert not list(lake.raw.rglob("*.tmp"))
    paths = lake.segments("ccxt")
    for path in paths.ready_dir.glob("*.json"):
        verify(read_manifest(path), paths.ready_dir)
    for path in paths.archive_dir.glob("date=*/*.json"):
        manifest = read_manifest(path)
        for channel, entry in manifest.channels.items():
            if entry.file:
                verify_file(paths.archive_file(channel, manifest.date, manifest.id), entry)


def test_ready_and_archived_segments_become_parquet_with_the_same_rows(lake):
    wanted, before = everything(lake), legacy_files(lake)
    assert {path.relative_to(lake.raw).parts[0] for path in before} == {"ready", "archive"}
    done = run(lake)
    assert len(done) == 6
    assert all(isinstance(one, Converted) for one in done)
    assert sum(one.files for one in done) == len(before)
    assert_converted(lake)
    assert_same(everything(lake), wanted)
    assert run(lake) == []


def test_a_file_that_breaks_its_manifest_stays_and_the_rest_goes_on(lake):
    file = legacy_files(lake)[0]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    failed = [one for one in run(lake) if isinstance(one, NotConverted)]
    assert [one.id for one in failed] == [file.name.removeprefix("segment_").removesuffix(".ndjson.zst")]
    assert "sha256" in str(failed[0].error)
    assert file in legacy_files(lake)
    assert file.read_bytes() == data
    assert {path.name for path in legacy_files(lake)} == {file.name}


def test_a_copy_that_differs_is_never_used(lake):
    """A file as its manifest describes it, but for the order of its rows: sealing sorts them, so the copy differs."""
    file = next(path for path in legacy_files(lake) if path.parts[-4:-1] == ("ready", "ccxt", "orderbook"))
    with pa.CompressedInputStream(pa.OSFile(str(file)), "zstd") as plain:
        lines = plain.read().splitlines(keepends=True)
    file.write_bytes(pa.compress(b"".join([lines[1], lines[0], *lines[2:]]), codec="zstd", asbytes=True))
    path = lake.segments("ccxt").ready_dir / file.name.replace(".ndjson.zst", ".json")
    manifest = read_manifest(path)
    change = {"sha256": checksum_file(file), "bytes": file.stat().st_size}
    entries = manifest.channels | {"orderbook": manifest.channels["orderbook"].model_copy(update=change)}
    write_manifest(path, manifest.model_copy(update={"channels": entries}))
    failed = [one for one in run(lake) if isinstance(one, NotConverted)]
    assert [one.id for one in failed] == [manifest.id]
    assert "differs" in str(failed[0].error)
    assert file.exists()
    assert not file.with_name(file.name.replace(".ndjson.zst", ".parquet")).exists()


def test_one_that_lands_while_it_is_looked_for_stops_nothing(lake):
    """Its manifest was there, and one of its files is there no more."""
    known = legacy_segments(lake, "ccxt")
    gone = next(iter(known[-1].files.values()))
    gone.unlink()
    gone.symlink_to("nowhere")
    assert [one.name.id for one in legacy_segments(lake, "ccxt")] == [one.name.id for one in known[:-1]]


def test_what_landed_meanwhile_is_left_to_the_next_run(lake):
    wanted, segments = everything(lake), legacy_segments(lake, "ccxt")
    land(lake, "ccxt")
    assert len(list(convert(lake, segments, Ingestion()))) == 3
    assert {one.name.id for one in legacy_segments(lake, "ccxt")} == {one.name.id for one in segments[3:]}
    assert len(run(lake)) == 3
    assert_converted(lake)
    assert_same(everything(lake), wanted)


def check(lives, template, root, point, wanted):
    shutil.copytree(template.root, root)
    lake = Lake(root)
    assert lives("convert", root, point)["ended"] == -signal.SIGKILL
    assert_same(everything(lake), wanted)
    assert lives("convert", root)["failed"] == []
    assert_converted(lake)
    assert_same(everything(lake), wanted)
    shutil.rmtree(root)


def _changes(lives, template, root):
    shutil.copytree(template.root, root)
    said = lives("convert", root)
    assert said["failed"] == []
    assert said["changes"] > 60, "the deaths would be too few"
    shutil.rmtree(root)
    return said["changes"]


def test_killed_before_some_changes(lives, template, tmp_path):
    seed = int(os.environ.get("FLUXFORGE_SEED", random.randrange(1 << 32)))
    print("FLUXFORGE_SEED =", seed)
    wanted, changes = everything(template), _changes(lives, template, tmp_path / "whole")
    for point in sorted(random.Random(seed).sample(range(1, changes + 1), 5)):
        print("killed before change", point)
        check(lives, template, tmp_path / f"killed-{point}", point, wanted)


@pytest.mark.slow
def test_killed_before_every_change(lives, template, tmp_path):
    wanted = everything(template)
    for point in range(1, _changes(lives, template, tmp_path / "whole") + 1):
        print("killed before change", point)
        check(lives, template, tmp_path / f"killed-{point}", point, wanted)


@pytest.fixture
def command(lake, typed):
    """Runs the command on the lake; its exit code, output and errors."""
    file = lake.root.parent / "fluxforge.yaml"
    file.write_text(yaml.safe_dump({"lake": {"root": str(lake.root)}}))
    return partial(typed, "convert", "--config", file)


def test_the_command_says_what_it_would_do_does_it_and_then_has_nothing_to_do(lake, command):
    before = legacy_files(lake)
    code, out, _ = command("--dry-run")
    assert (code, legacy_files(lake)) == (0, before)
    assert "would convert 6 segments" in out
    code, out, _ = command("--to", "2000-01-01")
    assert (code, out) == (0, "nothing to convert: every segment is Parquet\n")
    code, out, _ = command("--source", "ccxt", "--json")
    said = [json.loads(line) for line in out.splitlines()]
    assert (code, len(said), sum(one["files"] for one in said)) == (0, 6, len(before))
    assert command()[1] == "nothing to convert: every segment is Parquet\n"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [(("--source", "nope"), "known: ccxt"), (("--from", "soon"), "write it like")],
)
def test_a_mistake_is_one_line(command, arguments, remedy):
    code, _, err = command(*arguments)
    assert code == 2
    assert remedy in err
    assert err.count("\n") == 1
