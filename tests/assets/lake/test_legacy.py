"""A lake whose segments are NDJSON gives what one of Parquet gives: landed, read, covered, computed, compacted."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, INSTRUMENTS, NOON_US, SECOND, config_of, records, seal

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze import book_batches, gap_table, ticker_table, trade_table
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.coverage import coverages
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.reading import BRONZE, Wanted, open_asset, open_path
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.names import RawFormat

LATER_US = NOON_US + 3 * 86_400 * SECOND
SPAN = (NOON_US + 7 * SECOND, NOON_US + 41 * SECOND)


def _made(root, *formats):
    """A lake of a minute, a run of the collector in each of these formats."""
    lake = Lake(root)
    made = records(1, seconds=60, gaps=0.03)
    cuts = [NOON_US + 60 * SECOND * number // len(formats) for number in range(len(formats) + 1)]
    for number, form in enumerate(formats):
        part = [r for r in made if cuts[number] <= _moment(r) < cuts[number + 1]]
        seal(root, part, raw_format=form, until_us=cuts[number + 1] - 1)
    done = land(lake, "ccxt")
    assert not done.quarantined
    assert {e.form for m in done.manifests for e in m.channels.values() if e.file} == {RawFormat(f) for f in formats}
    return lake


def _moment(record):
    return getattr(record, "capture_us", None) or record.gap_end_us


@pytest.fixture(scope="module")
def legacy(tmp_path_factory):
    """Legacy segments, then Parquet ones, then legacy ones again."""
    return _made(tmp_path_factory.mktemp("legacy"), "ndjson", "parquet", "ndjson")


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """The same records in the same segments, all Parquet."""
    return _made(tmp_path_factory.mktemp("parquet"), "parquet", "parquet", "parquet")


def _rows(lake, keep_bytes):
    archive = Archive(lake, "ccxt", keep_bytes=keep_bytes)
    for exchange, symbol in INSTRUMENTS:
        instrument = Instrument(exchange, symbol)
        yield [row for batch in book_batches(archive, instrument, *SPAN) for row in batch.to_pylist()]
        yield trade_table(archive, instrument, *SPAN).to_pylist()
        yield ticker_table(archive, instrument, *SPAN).to_pylist()
        told = gap_table(archive, instrument, *SPAN).to_pylist()
        yield [row for row in told if row["reason"] != "missing_segment"]


@pytest.mark.parametrize("keep_bytes", [0, 1 << 30], ids=["from files", "kept in memory"])
def test_an_instruments_rows_are_the_same(legacy, parquet, keep_bytes):
    found, wanted = list(_rows(legacy, keep_bytes)), list(_rows(parquet, keep_bytes))
    assert sum(map(len, wanted)) > 100
    assert found == wanted


@pytest.mark.parametrize(
    "wanted",
    [Wanted(), Wanted(symbol="BTC-USDT", from_us=SPAN[0], to_us=SPAN[1]), Wanted(exchange="okx"), Wanted(date=DAY)],
    ids=["all", "a symbol's minute", "an exchange", "a date"],
)
def test_a_query_gives_the_same(legacy, parquet, wanted):
    for asset in BRONZE:
        found, expected = (open_asset(lake, asset, wanted) for lake in (legacy, parquet))
        assert_frame_equal(found.collect(), expected.collect())
        assert_frame_equal(found.select("seq").head(5).collect(), expected.select("seq").head(5).collect())


def test_a_path_is_read_like_any_other(legacy):
    folder = legacy.root / "raw" / "archive" / "ccxt" / "trades"
    frame = open_path(folder, Wanted(symbol="ETH/USDT")).collect()
    assert_frame_equal(frame, open_asset(legacy, "bronze/trades", Wanted(symbol="ETH/USDT")).collect())
    file = next(folder.rglob("*.ndjson.zst"))
    by_anybody = pl.read_ndjson(file).sort("seq")
    assert_frame_equal(
        open_path(file, Wanted()).collect().sort("seq").select("price", "seq"), by_anybody.select("price", "seq")
    )
    with pytest.raises(DataError, match="several channels"):
        open_path(legacy.root / "raw", Wanted())


def test_what_is_computed_and_covered_is_the_same(legacy, parquet):
    stored = []
    for lake in (legacy, parquet):
        assert all(not hasattr(outcome, "error") for outcome in update(lake, config_of(lake.root), "ccxt", DAY))
        stored.append(
            [
                pl.read_parquet(f"{lake.root}/processed/ccxt/{d.folder}/**/*.parquet").sort(
                    "exchange", "symbol", *d.key
                )
                for d in (SILVER_ORDERBOOK, GOLD_BARS)
            ]
        )
    for found, wanted in zip(*stored, strict=True):
        assert wanted.height
        assert_frame_equal(found, wanted, check_exact=True)
    shown = [
        [cover._replace(place=None) for channel in Channel for cover in coverages(Archive(lake, "ccxt"), DAY, channel)]
        for lake in (legacy, parquet)
    ]
    assert shown[0] == shown[1]


def test_compaction_makes_parquet_of_it(parquet, tmp_path):
    legacy = _made(tmp_path, "ndjson", "parquet", "ndjson")
    wanted = [open_asset(parquet, asset, Wanted()).collect() for asset in BRONZE]
    done = list(compact(legacy, Compaction(), Selection(), now_us=LATER_US))
    assert {one.what for one in done if isinstance(one, Compacted)} == set(BRONZE)
    assert not list((legacy.raw / "archive").rglob("*.ndjson.zst"))
    for asset, rows in zip(BRONZE, wanted, strict=True):
        assert_frame_equal(open_asset(legacy, asset, Wanted()).collect(), rows)


def test_a_damaged_file_goes_to_quarantine(tmp_path):
    lake = Lake(tmp_path)
    manifests = seal(tmp_path, records(1, seconds=30), raw_format="ndjson")
    file = lake.segments("ccxt").ready_file("trades", manifests[1].id, RawFormat.NDJSON)
    file.write_bytes(file.read_bytes()[:-5])
    done = land(lake, "ccxt")
    assert set(done.quarantined) == {manifests[1].id}
    assert len(done.manifests) == len(manifests) - 1
    kept = {path.name for path in (lake.raw / "quarantine").rglob("*.ndjson.zst")}
    assert kept == {file.name}
