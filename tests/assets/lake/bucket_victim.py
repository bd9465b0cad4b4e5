"""Works on a lake in a bucket, to be killed: `bucket_victim.py ENDPOINT ROOT LOCAL WHAT…`."""

import sys
from pathlib import Path

from support.market import DAY, NOON_US, config_of

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.repair import Dates, faults, mend
from fluxforge_assets.lake.update import recipe_of, update
from fluxforge_collector.config.model import Compaction, Storage
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.storage.bucket import open_path

LATER_US = NOON_US + 3 * 86_400_000_000


def main(endpoint, root, local, *steps):
    settings = Storage(endpoint=endpoint, region="us-east-1", access_key="test:tester", secret_key="testing")
    lake, config = Lake(open_path(root, settings), Path(local)), config_of("unused")
    print("ready", flush=True)
    for step in steps:
        if step == "update":
            land(lake, "ccxt")
            list(update(lake, config, "ccxt", DAY))
        elif step == "replace":
            place = Place("ccxt", Instrument("binanceus", "BTC/USDT"), DAY)
            replace(lake, recipe_of("silver/orderbook", lake, config, "ccxt"), place)
        elif step == "compact":
            list(compact(lake, Compaction(min_age_hours=0), Selection(), now_us=LATER_US))
        elif step == "repair":
            for fault in list(faults(lake, config, Dates())):
                mend(fault)


main(*sys.argv[1:])
