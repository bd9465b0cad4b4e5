import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fluxforge_collector.cli import main
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import MOST_FAILURES, sync

ALL = Filter()
FOLDER = "processed/ccxt/trades/exchange=okx/symbol=BTC-USDT/date=2024-08-08"


def content(store):
    return {entry.key: store.get(entry.key) for entry in store.list()}


def fill(store, files=6):
    rng = random.Random(1)
    for number in range(files):
        store.put(f"{FOLDER}/part-{number}-{number + 1}-0123456789ab.parquet", rng.randbytes(rng.randrange(1, 5000)))
        store.put(f"raw/archive/ccxt/trades/date=2024-08-08/segment_s{number}.parquet", rng.randbytes(3000))
        store.put(f"raw/archive/ccxt/date=2024-08-08/segment_s{number}.json", b"{}")


class Broken(LocalStore):
    """A directory that refuses some keys."""

    def __init__(self, root, refuses):
        super().__init__(root)
        self.refuses = refuses

    def send(self, file, key):
        if self.refuses in key:
            raise StorageError("no space", "make some")
        super().send(file, key)


@pytest.mark.parametrize("direction", ["upload", "download"])
def test_it_converges_and_then_copies_nothing(local_store, s3_store, direction):
    source, destination = (local_store, s3_store) if direction == "upload" else (s3_store, local_store)
    fill(source, files=3)
    first = sync(source, destination, wanted=ALL)
    assert (first.copied, first.same, first.failed) == (9, 0, {})
    assert content(destination) == content(source)
    again = sync(source, destination, wanted=ALL)
    assert (again.copied, again.same) == (0, 9)


def test_a_copy_of_the_same_size_that_differs_is_replaced(local_store, s3_store):
    fill(local_store, files=1)
    sync(local_store, s3_store, wanted=ALL)
    key = "raw/archive/ccxt/trades/date=2024-08-08/segment_s0.parquet"
    s3_store.put(key, bytes(3000))
    assert sync(local_store, s3_store, wanted=ALL).copied == 1
    assert s3_store.get(key) == local_store.get(key)


def test_a_dry_run_changes_nothing(local_store, s3_store):
    fill(local_store, files=1)
    done = sync(local_store, s3_store, wanted=ALL, is_dry=True)
    assert done.copied == 3
    assert not content(s3_store)


def test_a_manifest_does_not_go_without_its_files(local_store, tmp_path):
    fill(local_store, files=2)
    there = Broken(tmp_path / "there", "segment_s1.parquet")
    done = sync(local_store, there, wanted=ALL)
    assert list(done.failed) == ["raw/archive/ccxt/trades/date=2024-08-08/segment_s1.parquet"]
    assert there.head("raw/archive/ccxt/date=2024-08-08/segment_s0.json")
    assert there.head("raw/archive/ccxt/date=2024-08-08/segment_s1.json") is None
    assert sync(local_store, LocalStore(there.root), wanted=ALL).copied == 2
    assert content(there) == content(local_store)


@pytest.mark.parametrize("is_known", [True, False], ids=["compared", "copied"])
def test_a_file_that_goes_between_its_listing_and_its_turn_is_passed_over(local_store, tmp_path, is_known):
    """A backfill replaces parts while their lake is copied; the next copy has what came in their place."""

    class Moving(LocalStore):
        def list(self, prefix=""):
            listed = [*super().list(prefix)]
            self.path(listed[0].key).unlink()
            yield from listed

    fill(local_store, files=1)
    there = LocalStore(tmp_path / "there")
    if is_known:
        sync(local_store, there, wanted=ALL)
    done = sync(Moving(local_store.root), there, wanted=ALL)
    assert (done.gone, done.failed) == (1, {})


@pytest.mark.parametrize("way", ["local/copy", "local", "link/copy"])
def test_a_copy_inside_its_lake_is_refused(local_store, tmp_path, way):
    """Each sync would copy the copy of before."""
    fill(local_store, files=1)
    before = content(local_store)
    (tmp_path / "link").symlink_to(local_store.root)
    inside = LocalStore(tmp_path / way)
    for source, destination in ((local_store, inside), (inside, local_store)):
        with pytest.raises(StorageError, match="lie one in the other — name two places apart"):
            sync(source, destination, wanted=ALL)
    beside = LocalStore(local_store.root / ".." / f"{local_store.root.name}-copy")
    assert sync(local_store, beside, wanted=ALL).copied == 3
    assert content(local_store) == before


def test_a_broken_way_ends_it_early(local_store, tmp_path):
    for number in range(2 * MOST_FAILURES):
        local_store.put(f"raw/quarantine/ccxt/{number}", b"x")
    with pytest.raises(StorageError, match="goes on where it was"):
        sync(local_store, Broken(tmp_path / "there", "raw"), wanted=ALL)


def test_replaced_parts_go_only_when_asked_and_all_is_there(local_store, tmp_path):
    fill(local_store, files=2)
    there = LocalStore(tmp_path / "there")
    old, elsewhere = f"{FOLDER}/part-0-2-aaaaaaaaaaaa.parquet", FOLDER.replace("BTC", "ETH") + "/part-0-2-a.parquet"
    there.put(old, b"old")
    there.put(elsewhere, b"perhaps the only copy")
    kept = sync(local_store, there, wanted=ALL)
    assert (kept.superseded, kept.deleted) == (1, 0)
    local_store.put("raw/quarantine/ccxt/late", b"x")
    assert sync(local_store, Broken(there.root, "late"), wanted=ALL, deletes=True).deleted == 0
    assert there.head(old)
    assert sync(local_store, there, wanted=ALL, deletes=True).deleted == 1
    assert there.head(old) is None
    assert there.head(elsewhere)


@pytest.mark.parametrize(("direction", "is_there"), [("upload", False), ("download", True)])
def test_the_configuration_deletes_at_the_other_side_and_never_in_the_lake(
    local_store, tmp_path, monkeypatch, capsys, direction, is_there
):
    """The lake has parts that its copy of last night has not, and they are no older for it."""
    fill(local_store, files=1)
    there = LocalStore(tmp_path / "there")
    there.put(f"{FOLDER}/part-0-2-aaaaaaaaaaaa.parquet", b"not at the source")
    monkeypatch.setenv("FLUXFORGE__SYNC__DELETE", "true")
    main(["sync", direction, "--source-path", str(local_store.root), "--dest-path", str(there.root)])
    assert (there.head(f"{FOLDER}/part-0-2-aaaaaaaaaaaa.parquet") is not None) is is_there
    said = "has others of their partitions: 1 part;" if is_there else "deleted 1 part "
    assert said in capsys.readouterr().out


def environment(server):
    named = {"ENDPOINT": server.endpoint, "REGION": "us-east-1", "ACCESS_KEY": "test:tester", "SECRET_KEY": "testing"}
    return os.environ | {f"FLUXFORGE__STORAGE__{name}": value for name, value in named.items()}


def killed_and_rerun(server, local_store, s3_store, kills, files):
    """Kill `fluxforge sync upload` at random moments, then let it finish; what it says at the end."""
    fill(local_store, files=files)
    command = [
        str(Path(sys.executable).with_name("fluxforge")), "sync", "upload", "--json",
        "--source-path", str(local_store.root), "--dest-path", str(s3_store),
    ]  # fmt: skip
    rng = random.Random(seed := random.randrange(10**6))
    print("seed", seed)
    for _ in range(kills):
        process = subprocess.Popen(
            command, env=environment(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.6, 3.0))  # the moment of the kill is what is drawn, nothing is waited for
        process.send_signal(signal.SIGKILL)
        process.wait()
        sent = content(s3_store)
        assert sent.items() <= content(local_store).items()
        for key in sent:
            if key.endswith(".json"):
                number = key.rpartition("_")[2].removesuffix(".json")
                assert f"raw/archive/ccxt/trades/date=2024-08-08/segment_{number}.parquet" in sent
    last = subprocess.run(command, env=environment(server), capture_output=True, text=True, check=True)
    assert content(s3_store) == content(local_store)
    return json.loads(last.stdout)


def test_killed_anywhere_and_run_again_it_converges(s3_server, local_store, s3_store):
    done = killed_and_rerun(s3_server, local_store, s3_store, kills=2, files=20)
    assert not done["failed"]


@pytest.mark.slow
def test_killed_at_many_moments_it_converges(s3_server, local_store, s3_store):
    done = killed_and_rerun(s3_server, local_store, s3_store, kills=10, files=100)
    assert not done["failed"]


def test_the_command_line_says_what_is_wrong_in_a_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake").mkdir()
    for arguments, said in (
        (["upload"], "set sync.remote"),
        (["upload", "--source-path", "nowhere", "--dest-path", "there"], "there is no directory nowhere"),
        (["upload", "--source-path", "lake", "--dest-path", "s3://X"], "names no bucket"),
        (["upload", "--source-path", "lake", "--dest-path", "gs://bucket/x"], "names no bucket"),
        (["upload", "--source-path", "lake", "--dest-path", "lake/"], "both source and destination"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["sync", *arguments])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_a_bucket_s_folder_where_nothing_is_is_no_lake_in_step(s3_server, s3_store, tmp_path, capsys, monkeypatch):
    for name, value in environment(s3_server).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["sync", "download", "--source-path", f"{s3_store}/typo", "--dest-path", str(tmp_path / "copy")])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert f"there is nothing below {s3_store}/typo — check --source-path" in said.err
    assert not (tmp_path / "copy").exists()
