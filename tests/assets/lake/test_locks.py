"""Locks of several machines: real Postgres, holders in processes of their own that are killed and cut off."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.lakes import bucket_lake, deliver, files_below
from support.market import records, seal
from support.postgres import Postgres, require

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.reading import Wanted, open_asset
from fluxforge_collector.errors import StorageError

HOLDER = """
import sys
from pathlib import Path
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake
with locked(Lake(Path(sys.argv[1]), locks=sys.argv[2]), "a partition"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def postgres():
    require()
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def lake(tmp_path, postgres):
    return Lake(tmp_path / "lake", locks=postgres.address)


def holder(lake):
    """Another machine that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lake.root), lake.locks], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    return process


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def restart(postgres):
    postgres.halt()
    postgres.start()


def test_a_second_machine_waits_until_the_first_is_killed(lake):
    process = holder(lake)
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lake.root), lake.locks], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        with locked(lake, "another partition"):
            pass
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(5)
        end(process)
        assert waiting.stdout.readline() == "held\n"
    finally:
        end(waiting)


def test_locks_of_one_name_in_two_lakes_are_two(lake, tmp_path):
    process = holder(lake)
    try:
        with locked(Lake(tmp_path / "other", locks=lake.locks), "a partition"):
            pass
    finally:
        end(process)


def test_two_machines_that_land_in_one_bucket_at_once_lose_and_double_nothing(postgres, s3_server, tmp_path):
    """Each has a disk of its own; all they share is the bucket and the database."""
    there = bucket_lake(s3_server, tmp_path)
    manifests = seal(tmp_path / "staging", records(1, seconds=60))
    deliver(tmp_path / "staging", there, manifests)

    def landed(name):
        return land(Lake(there.root, tmp_path / name, postgres.address), "ccxt")

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(landed, ("one", "other")))
    assert sorted(m.id for each in done for m in each.manifests) == sorted(m.id for m in manifests)
    assert not any(each.quarantined or each.failed for each in done)
    rows = {
        channel: open_asset(there, f"bronze/{channel}", Wanted()).collect().height
        for channel in ("orderbook", "trades")
    }
    assert rows == {channel: sum(m.channels[channel].rows for m in manifests) for channel in rows}
    assert not [name for name in files_below(there, "raw") if not name.startswith("raw/archive/")]


def test_an_error_inside_lets_go(lake):
    with pytest.raises(ValueError, match="mine"), locked(lake, "a partition"):
        raise ValueError("mine")
    end(holder(lake))


def test_one_lost_while_it_was_held_is_told(lake, postgres):
    with pytest.raises(StorageError, match="lost while it was held"), locked(lake, "a partition"):
        restart(postgres)
    with locked(lake, "a partition"):  # a new connection, not the broken one
        pass


def test_without_postgres_there_is_no_lock(lake, postgres):
    postgres.halt()
    began = time.monotonic()
    try:
        with pytest.raises(StorageError, match="cannot be reached"), locked(lake, "a partition"):
            raise AssertionError("held without a lock")
    finally:
        postgres.start()
    assert time.monotonic() - began < 60


def test_its_password_is_not_shown(tmp_path):
    assert "hidden" not in repr(Lake(tmp_path, locks="postgresql://me:hidden@host/db"))


def test_a_file_that_cannot_be_opened_is_one_clear_error(tmp_path):
    (tmp_path / ".work").touch()
    with (
        pytest.raises(StorageError, match=r"cannot lock .*: File exists"),
        locked(Lake(tmp_path), "any"),
    ):
        raise AssertionError("held without a lock")
