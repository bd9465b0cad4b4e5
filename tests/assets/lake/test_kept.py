"""Rows kept in memory are those of the file, whatever room there is."""

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, NOON_US, SECOND, records, seal

from fluxforge_assets.lake import bronze
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze_rows import plain_schema
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.update import places_of
from fluxforge_collector.records import Channel


def books(archive, instrument, start_us, end_us):
    """Order book rows of a range."""
    found = list(bronze.book_batches(archive, instrument, start_us, end_us))
    return pl.DataFrame(pa.Table.from_batches(found, schema=plain_schema(Channel.ORDERBOOK)))


def trades(archive, instrument, start_us, end_us):
    """Trades of a range."""
    return pl.DataFrame(bronze.trade_table(archive, instrument, start_us, end_us))


@pytest.mark.parametrize("room", [1, 40_000, 1 << 30])
def test_a_range_reads_the_same_with_and_without_room(lake, room):
    seal(lake.root, records(3, seconds=60))
    land(lake, "ccxt")
    for place in places_of(lake, "ccxt", DAY):
        keeping = Archive(lake, "ccxt", keep_bytes=room)
        for start, end in ((0, 60), (7, 31), (59, 60)):
            span = (NOON_US + start * SECOND, NOON_US + end * SECOND)
            for read in (books, trades):
                found = read(keeping, place.instrument, *span)
                assert_frame_equal(found, read(Archive(lake, "ccxt"), place.instrument, *span))
                assert found.height or end - start == 1


def test_each_file_is_read_once_for_all_instruments(lake):
    """What a run has read it does not need again: the files may be gone."""
    manifests = seal(lake.root, records(4, seconds=30))
    land(lake, "ccxt")
    archive = Archive(lake, "ccxt", keep_bytes=1 << 30)
    first, *others = places_of(lake, "ccxt", DAY)
    span = (NOON_US, NOON_US + 60 * SECOND)
    assert books(archive, first.instrument, *span).height
    wanted = [books(Archive(lake, "ccxt"), other.instrument, *span) for other in others]
    for manifest in manifests:
        if first.instrument.key in manifest.channels["orderbook"].instruments:
            lake.segments("ccxt").archive_file("orderbook", DAY, manifest.id).unlink()
    for other, frame in zip(others, wanted, strict=True):
        assert_frame_equal(books(archive, other.instrument, *span), frame)
