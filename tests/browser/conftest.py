"""A running Dagster over a small lake, as a user starts it, for a real browser on its page."""

import os

import pytest
from support.dagster_dev import Platform
from support.market import NOON_US, records, seal

DAY_US = 86_400_000_000


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """Two days of a market, landed and computed by the daemon itself."""
    made = Platform(tmp_path_factory.mktemp("platform"))
    for number in range(2):
        start_us = NOON_US + number * DAY_US
        seal(made.lake.root, records(number, start_us=start_us, seconds=900), segment_seconds=300)
    made.start()
    try:
        made.wait(lambda: len(made.partitions("gold/bars")) == 6, "bars of both days")
        if os.environ.get("FLUXFORGE_PICTURES"):
            made.wait(lambda: len(made.partitions("gold/vpin")) > 0, "the refreshed tables")
        yield made
    finally:
        made.stop()
