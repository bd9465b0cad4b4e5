"""A compaction killed before any change of the lake: no row is lost or doubled, and the next one finishes the work."""

import os
import random
import shutil
import signal

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, deliver, records, seal

from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.swap import new_directory
from fluxforge_assets.lake.update import update

CHANNELS = ("orderbook", "trades", "ticker", "gaps")
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)


@pytest.fixture
def template(tmp_path, lake, config):
    """A lake of one instrument whose day is in several files."""
    staging = tmp_path / "staging"
    manifests = seal(staging, records(2, seconds=50, gaps=0.05, instruments=(("okx", "BTC/USDT:USDT"),)))
    for start in range(0, len(manifests), 3):
        deliver(staging, lake.root, manifests[start : start + 3])
        land(lake, "ccxt")
        list(update(lake, config, "ccxt", DAY))
    return lake


def rows(root):
    """Everything a reader finds, as plain polars reads it."""
    found = {}
    for channel in CHANNELS:
        frame = pl.read_parquet(f"{root}/raw/archive/ccxt/{channel}/date={DAY}/*.parquet")
        found[channel] = frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort("exchange", "symbol", "seq")
    for dataset in STORED:
        frame = pl.read_parquet(f"{root}/processed/ccxt/{dataset.folder}/**/*.parquet", hive_partitioning=False)
        found[dataset.asset] = frame.sort("exchange", "symbol", *dataset.key)
    return found


def check(lives, template, root, point):
    wanted = rows(template.root)
    shutil.copytree(template.root, root)
    said = lives("compact", root, point)
    assert said["ended"] == -signal.SIGKILL, said
    compare(rows(root), wanted)
    assert lives("compact", root)["failed"] == []
    compare(rows(root), wanted)
    assert all(
        len(list(folder.glob("*.parquet"))) == 1 for folder in root.glob("*/**/date=*") if any(folder.glob("*.parquet"))
    )
    new_directory(Lake(root).work).rmdir()
    assert list(Lake(root).work.glob("build-*")) == [], "what was being built is swept by the next who builds"
    shutil.rmtree(root)


def compare(found, wanted):
    for name, frame in wanted.items():
        assert frame.height, name
        assert_frame_equal(found[name], frame, check_exact=True)


def changes_of(lives, template, root):
    shutil.copytree(template.root, root)
    said = lives("compact", root)
    shutil.rmtree(root)
    assert said["failed"] == []
    assert said["changes"] > 60, "the deaths would be too few"
    return said["changes"]


def test_killed_before_some_changes(lives, template, tmp_path):
    seed = int(os.environ.get("FLUXFORGE_SEED", random.randrange(1 << 32)))
    print("FLUXFORGE_SEED =", seed)
    changes = changes_of(lives, template, tmp_path / "whole")
    for point in sorted(random.Random(seed).sample(range(1, changes + 1), 10)):
        print("killed before change", point)
        check(lives, template, tmp_path / f"killed-{point}", point)


@pytest.mark.slow
def test_killed_before_every_change(lives, template, tmp_path):
    for point in range(1, changes_of(lives, template, tmp_path / "whole") + 1):
        print("killed before change", point)
        check(lives, template, tmp_path / f"killed-{point}", point)
