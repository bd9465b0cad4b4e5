"""The life of a lake, from landing to retention, with the same outcome in a directory and in a bucket."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.lakes import bucket_lake, deliver, files_below
from support.market import DAY, NOON_US, config_of, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.coverage import coverages
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land, waiting
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.pruning import prune
from fluxforge_assets.lake.reading import Wanted, open_asset
from fluxforge_assets.lake.retention import Expired, delete, expired
from fluxforge_assets.lake.update import recipe_of, update
from fluxforge_collector.config.model import Compaction, Retention
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel

STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)
BRONZE = ("orderbook", "trades", "ticker", "gaps")
BTC = Place("ccxt", Instrument("binanceus", "BTC/USDT"), DAY)
LATER_US = NOON_US + 3 * 86_400_000_000


@pytest.fixture
def config(tmp_path):
    return config_of(tmp_path / "unused")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def lake(request, tmp_path):
    """An empty lake of either kind."""
    if request.param == "local":
        return Lake(tmp_path / "lake")
    return bucket_lake(request.getfixturevalue("s3_server"), tmp_path)


def content(lake):
    """Every row of every dataset that has any."""
    found = {}
    for asset in (*(f"bronze/{c}" for c in BRONZE), *(d.asset for d in STORED)):
        frame = open_asset(lake, asset, Wanted()).collect()
        found[asset] = frame.sort(
            [n for n in ("exchange", "symbol", "ts", "capture_ts", "gap_start", "seq", "bar_us") if n in frame.columns]
        )
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for asset, frame in one.items():
        assert_frame_equal(frame, other[asset], rel_tol=1e-12)


def test_the_whole_life_keeps_every_row_once(lake, config, tmp_path):
    made = records(5, seconds=40, gaps=0.05)
    plain = Lake(tmp_path / "plain")
    seal(plain.root, made)
    land(plain, "ccxt")
    list(update(plain, config, "ccxt", DAY))
    wanted = content(plain)

    manifests = seal(tmp_path / "staging", made)
    for start in range(0, len(manifests), 3):  # in parts, as time goes
        deliver(tmp_path / "staging", lake, manifests[start : start + 3])
        assert not land(lake, "ccxt").quarantined
        list(update(lake, config, "ccxt", DAY))
    assert not waiting(lake, "ccxt")
    assert [m.date for m in marks(lake)] == [DAY]
    assert_same(content(lake), wanted)
    shares = [
        (c.place.instrument, round(c.share_of_collected, 9))
        for c in coverages(Archive(lake, "ccxt"), DAY, Channel.ORDERBOOK)
    ]
    assert shares == [
        (c.place.instrument, round(c.share_of_collected, 9))
        for c in coverages(Archive(plain, "ccxt"), DAY, Channel.ORDERBOOK)
    ]

    options = Compaction(min_age_hours=0)
    done = list(compact(lake, options, Selection(), now_us=LATER_US))
    assert done
    assert all(isinstance(one, Compacted) and one.files_after < one.files_before for one in done)
    assert_same(content(lake), wanted)
    assert not list(compact(lake, options, Selection(), now_us=LATER_US))

    for asset in ("silver/orderbook", "gold/bars"):
        replace(lake, recipe_of(asset, lake, config, "ccxt"), BTC)
    assert_same(content(lake), wanted)
    assert not [name for name in files_below(lake, "processed") if name.rpartition("/")[2].startswith(("_", "."))]

    assert prune(lake, GOLD_BARS, BTC) > 0
    assert (
        open_asset(lake, "gold/bars", Wanted())
        .filter(pl.col("symbol") == "BTC-USDT", pl.col("exchange") == "binanceus")
        .collect()
        .height
        == 0
    )
    rules = Retention(keep_silver_days=1)
    gone = [one for one in expired(lake, rules, now_us=LATER_US) if isinstance(one, Expired)]
    assert len(gone) == 9
    for one in gone:
        delete(lake, one)
    assert not files_below(lake, "processed/ccxt/orderbook/hf")
