"""From the exchange to bars with the lake on a disk or in a bucket: the real collector, its real rows, all kept once."""

import asyncio
import secrets

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.market import config_of

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake, open_lake
from fluxforge_assets.lake.reading import Wanted, open_asset
from fluxforge_assets.lake.update import Failed, update
from fluxforge_collector.config.model import Config
from fluxforge_collector.metrics import Tally
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.storage.bucket import open_store
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter
from fluxforge_collector.transfer.sync import sync

pytestmark = pytest.mark.slow
COMPUTED = ("silver/orderbook", "silver/trades", "silver/ticker", "gold/bars")


@pytest.fixture(params=["local", "s3"])
def settings(request, tmp_path):
    """A configuration with its lake in a place of either kind, and short segments."""
    made = config_of(tmp_path / "lake").model_dump(exclude_unset=True)
    made |= {"ingestion": {"segment_max_seconds": 1, "flush_interval_seconds": 0.2}, "metrics": {"enabled": False}}
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        root = f"s3://{server.shared}/lake-{secrets.token_hex(4)}"
        made |= {"lake": {"root": root, "work": str(tmp_path / "work")}, "storage": server.settings()}
    return Config.model_validate(made)


async def collected(settings):
    """Collect from a simulated exchange until several segments are sealed; what was counted."""
    async with Simulator(SimulatorOptions(seed=9, speed=5)) as simulator:
        exchanges = {"okx": {"symbols": ["BTC/USDT", "ETH/USDT"], "base_url": simulator.url}}
        made = Config.model_validate(settings.model_dump(exclude_unset=True) | {"exchanges": exchanges})
        stop, tally = asyncio.Event(), Tally()
        running = asyncio.create_task(collect(made, stop=stop, tally=tally))
        async with asyncio.timeout(120):
            while tally.segments < 4 and not running.done():
                await asyncio.sleep(0.05)
        stop.set()
        return await running


def computed(lake, settings):
    """Land everything and compute it; every row of every dataset."""
    assert not land(lake, "ccxt").quarantined
    for date in Archive(lake, "ccxt").dates():
        assert not [one for one in update(lake, settings, "ccxt", date) if isinstance(one, Failed)]
    return {asset: open_asset(lake, asset, Wanted()).collect() for asset in COMPUTED}


def test_what_was_collected_is_in_bronze_once_and_becomes_the_same_bars(settings, tmp_path):
    report = asyncio.run(collected(settings))
    plain = Lake(tmp_path / "plain")
    sync(open_store(settings.lake.root, settings.storage), LocalStore(plain.root), wanted=Filter())
    lake = open_lake(settings)
    found = computed(lake, settings)
    for channel, count in report.records.items():
        assert open_asset(lake, f"bronze/{channel}", Wanted()).collect().height == count
    assert found["gold/bars"].filter(pl.col("vol") > 0).height > 0
    for asset, frame in computed(plain, settings).items():
        assert_frame_equal(found[asset], frame)
