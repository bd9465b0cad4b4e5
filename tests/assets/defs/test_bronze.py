"""What is said of a date of bronze: by its manifests, and by the hour."""

import pytest
from support.market import DAY, NOON_US, SECOND, GapRecord, TradeRecord, records, seal

from fluxforge_assets.defs.bronze import of_date
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.landing import land
from fluxforge_collector.records import Channel

ONE_US = NOON_US + 3600 * SECOND


@pytest.fixture
def landed(lake):
    """Records around one o'clock, and the archive that holds them."""
    made = records(3, start_us=ONE_US - 20 * SECOND, seconds=40, gaps=0.05)
    seal(lake.root, made)
    land(lake, "ccxt")
    return made, Archive(lake, "ccxt")


def test_a_date_is_told_by_its_manifests(landed):
    made, archive = landed
    trades = [record for record in made if isinstance(record, TradeRecord)]
    shown = of_date([archive], Channel.TRADES, DAY)
    assert shown["dagster/partition_row_count"] == len(trades)
    assert shown["files"] == len(list(archive.paths.archive_dir.glob(f"trades/date={DAY}/*.parquet")))
    assert shown["segments"] == len(archive.names(DAY))
    assert shown["instruments"] == 3
    assert shown["bytes"] > 0
    count = sum(record.symbol == "ETH/USDT" for record in trades)
    assert f"| binanceus:ETH-USDT | {count} |" in shown["preview"].value


def test_rows_and_gaps_are_drawn_by_the_hour(landed):
    """Segments begin on round seconds, so each lies in one of the two hours."""
    made, archive = landed
    plot = of_date([archive], Channel.TRADES, DAY)["plot"].value
    trades = [record.capture_us >= ONE_US for record in made if isinstance(record, TradeRecord)]
    gaps = [record.gap_end_us >= ONE_US for record in made if isinstance(record, GapRecord)]
    for name, is_later in (("rows", trades), ("gaps", gaps)):
        assert f"{name} per hour 0..{max(sum(is_later), len(is_later) - sum(is_later))}" in plot.replace("%20", " ")


def test_a_date_without_segments_is_all_zero(lake):
    assert of_date([Archive(lake, "ccxt")], Channel.TRADES, DAY) == {
        "dagster/partition_row_count": 0, "bytes": 0, "files": 0, "segments": 0, "instruments": 0,
    }  # fmt: skip
