"""Replacing a partition: no reader ever sees rows twice or missing, and a kill leaves the old or the new."""

import signal
import subprocess
import sys
import threading

import polars as pl
import pytest
from support.market import DAY, INSTRUMENTS, records, seal

from fluxforge_assets.lake.advance import advance, replace
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.swap import exchange, new_directory, swap
from fluxforge_assets.lake.update import places_of, recipe_of


@pytest.fixture
def built(lake, config):
    """A partition of silver trades, built; its place."""
    seal(lake.root, records(1, seconds=60, instruments=INSTRUMENTS[:1]))
    land(lake, "ccxt")
    (place,) = places_of(lake, "ccxt", DAY)
    advance(lake, recipe_of("silver/trades", lake, config, "ccxt"), place)
    return place


def test_a_reader_in_a_loop_never_sees_a_row_twice_or_missing(lake, config, built):
    """A plain scan of the dataset during forty replacements; a file that vanished is an error, never other rows."""
    pattern = f"{lake.dataset('ccxt', 'trades')}/**/*.parquet"
    wanted = pl.read_parquet(pattern)["seq"].to_list()
    seen, stop, vanished = [], threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                seen.append(pl.scan_parquet(pattern).select("seq").collect()["seq"].to_list())
            except FileNotFoundError as error:
                vanished.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    recipe = recipe_of("silver/trades", lake, config, "ccxt")
    try:
        for _ in range(40):
            replace(lake, recipe, built)
    finally:
        stop.set()
        reader.join()
    assert len(seen) > 10
    assert all(rows == wanted for rows in seen)


def test_an_exchange_is_of_names_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


def test_what_dead_builders_left_is_swept(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f"build-{int(dead.stdout)}-00"
    left.mkdir()
    mine = new_directory(tmp_path)
    assert not left.exists()
    assert new_directory(tmp_path) != mine
    assert mine.exists()


def test_the_first_partition_is_just_moved(tmp_path):
    made = new_directory(tmp_path / "work")
    (made / "part").touch()
    swap(made, tmp_path / "data" / "date=1")
    assert (tmp_path / "data" / "date=1" / "part").exists()


def test_what_was_replaced_stays_whole_for_a_while(tmp_path):
    """A reader in the midst of listing the old folder finds all of it, then no file to open; never a part."""
    work, target = tmp_path / "work", tmp_path / "data" / "date=1"
    for name in ("old", "new"):
        made = new_directory(work)
        (made / name).touch()
        swap(made, target)
    assert [path.name for path in target.iterdir()] == ["new"]
    (retired,) = work.glob("retired-*")
    new_directory(work)
    assert [path.name for path in retired.iterdir()] == ["old"]
    retired.rename(work / "retired-1-00")
    new_directory(work)
    assert list(work.glob("retired-*")) == []


VICTIM = """
import os, sys
from pathlib import Path
import fluxforge_assets.lake.swap as swap
from fluxforge_assets.lake import advance
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import places_of, recipe_of
from support.market import DAY, config_of
root, moment = Path(sys.argv[1]), sys.argv[2]
def die(*_): os.kill(os.getpid(), 9)
exchange = swap.exchange
def then_die(a, b):
    exchange(a, b)
    die()
swap.exchange = {"before": die, "after": then_die}[moment]
lake, config = Lake(root), config_of(root)
(place,) = places_of(lake, "ccxt", DAY)
advance.replace(lake, recipe_of("silver/trades", lake, config, "ccxt"), place)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_replacement_killed_loses_and_doubles_nothing(lake, config, built, stored, moment):
    before = stored(built, "trades")
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, str(lake.root), moment],
        check=False,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )
    assert victim.returncode == -signal.SIGKILL
    assert stored(built, "trades").equals(before)
    replace(lake, recipe_of("silver/trades", lake, config, "ccxt"), built)
    assert stored(built, "trades").equals(before)
    assert not list(lake.work.glob("build-*"))
