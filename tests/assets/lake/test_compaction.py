"""Compaction: few files, the same rows at every moment, and everything downstream goes on as if nothing had happened."""

import threading

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, NOON_US, SECOND, deliver, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze import book_batches
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import NotCompacted, compact
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.parts import original_parts, parts_of
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.swap import new_directory, swap
from fluxforge_assets.lake.update import places_of, recipe_of, update
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import DataError

LATER_US = NOON_US + 3 * 86_400 * SECOND
CHANNELS = ("orderbook", "trades", "ticker", "gaps")
STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)


def fill(lake, config, staging, manifests):
    """Deliver and compute a few segments at a time, as minutes of real time do."""
    for start in range(0, len(manifests), 3):
        deliver(staging, lake.root, manifests[start : start + 3])
        land(lake, "ccxt")
        assert all(not hasattr(outcome, "error") for outcome in update(lake, config, "ccxt", DAY))


def run(lake, options=None, selection=None):
    return list(compact(lake, options or Compaction(), selection or Selection(), now_us=LATER_US))


def bronze(lake, channel):
    """All rows as anybody would read them."""
    frame = pl.read_parquet(f"{lake.root}/raw/archive/ccxt/{channel}/date={DAY}/*.parquet")
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort("exchange", "symbol", "seq")


def processed(lake, dataset):
    frame = pl.read_parquet(f"{lake.root}/processed/ccxt/{dataset.folder}/**/*.parquet", hive_partitioning=False)
    return frame.sort("exchange", "symbol", *dataset.key)


def everything(lake):
    return [bronze(lake, channel) for channel in CHANNELS] + [processed(lake, dataset) for dataset in STORED]


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        assert other.height
        assert_frame_equal(one, other, check_exact=True)


@pytest.fixture
def filled(lake, config, tmp_path):
    """A lake with a day in many files."""
    fill(lake, config, tmp_path / "staging", seal(tmp_path / "staging", records(1, seconds=90, gaps=0.03)))
    return lake


def test_many_files_become_few_with_the_same_rows(filled):
    before = everything(filled)
    done = run(filled)
    assert all(isinstance(one, Compacted) for one in done), done
    assert {one.what for one in done} == {*(f"bronze/{c}" for c in CHANNELS), *(d.asset for d in STORED)}
    assert all(one.files_after == 1 < one.files_before for one in done)
    assert all(one.bytes_after < one.bytes_before for one in done)
    assert_same(everything(filled), before)


def test_a_second_run_finds_nothing_to_do(filled):
    run(filled)
    inodes = sorted(path.stat().st_ino for path in filled.root.glob("[rp]*/**/*.parquet"))
    assert run(filled) == []
    assert inodes == sorted(path.stat().st_ino for path in filled.root.glob("[rp]*/**/*.parquet"))


def test_nothing_is_left_behind(filled):
    manifests = sorted(filled.raw.glob("archive/ccxt/date=*/*.json"))
    run(filled)
    assert sorted(filled.raw.glob("archive/ccxt/date=*/*.json")) == manifests
    assert list(filled.work.glob("build-*")) == []


def test_an_open_day_is_left_alone(filled):
    ended = (NOON_US // (86_400 * SECOND) + 1) * 86_400 * SECOND
    options = Compaction(min_age_hours=2)
    assert list(compact(filled, options, Selection(), now_us=ended + 7199 * SECOND)) == []
    assert list(compact(filled, options, Selection(), now_us=ended + 7200 * SECOND))


def test_bronze_keeps_its_layout(filled):
    """Sorted by instrument and time, no row group mixes instruments, and the footer names the segments."""
    ids = {path.stem for path in filled.raw.glob(f"archive/ccxt/orderbook/date={DAY}/*.parquet")}
    run(filled)
    (path,) = filled.raw.glob(f"archive/ccxt/orderbook/date={DAY}/*.parquet")
    with pq.ParquetFile(path) as file:
        groups = [file.read_row_group(g, columns=["exchange", "symbol"]) for g in range(file.num_row_groups)]
        names = [set(zip(*g.to_pydict().values(), strict=True)) for g in groups]
        metadata = file.metadata.metadata
    assert all(len(one) == 1 for one in names)
    assert sorted(next(iter(one)) for one in names) == [next(iter(one)) for one in names]
    assert metadata[b"fluxforge.schema_version"] == b"1"
    assert all(known.removeprefix("segment_") in metadata[b"fluxforge.segments"].decode() for known in ids)
    frame = pl.read_parquet(path).with_columns(pl.col(pl.Categorical).cast(pl.String))
    assert frame.equals(frame.sort("exchange", "symbol", "capture_ts", "seq"))


def test_two_collectors_of_one_instrument_are_interleaved(lake, config, tmp_path, stored):
    made = records(3, seconds=60)
    for collector, mine in (("c1", made[::2]), ("c2", made[1::2])):
        seal(lake.root, mine, collector=collector)
    land(lake, "ccxt")
    place = places_of(lake, "ccxt", DAY)[0]
    replace(lake, recipe_of("silver/orderbook", lake, config, "ccxt"), place)
    before, silver = bronze(lake, "orderbook"), stored(place, "orderbook/hf")
    run(lake)
    assert_frame_equal(bronze(lake, "orderbook"), before, check_exact=True)
    rows = [b.to_pylist() for b in book_batches(Archive(lake, "ccxt"), place.instrument, 0, LATER_US)]
    seqs = [row["seq"] for batch in rows for row in batch]
    assert seqs == sorted(seqs)
    assert len(seqs) == before.filter(exchange=place.instrument.exchange, symbol=place.instrument.symbol).height
    replace(lake, recipe_of("silver/orderbook", lake, config, "ccxt"), place)
    assert_frame_equal(stored(place, "orderbook/hf"), silver, check_exact=True)


def test_a_backfill_after_compaction_gives_the_same_rows(filled, config):
    before = everything(filled)
    run(filled)
    for place in places_of(filled, "ccxt", DAY):
        for dataset in STORED:
            replace(filled, recipe_of(dataset.asset, filled, config, "ccxt"), place)
    assert_same(everything(filled), before)


def test_nothing_is_computed_again_after_compaction(filled, config):
    """Bars know their silver, and silver its segments, whatever files these stand in now."""
    run(filled)
    assert list(update(filled, config, "ccxt", DAY)) == []
    place = places_of(filled, "ccxt", DAY)[0]
    directory = filled.partition(place, SILVER_ORDERBOOK.folder)
    assert len(parts_of(directory)) == 1 < len(original_parts(directory))


def test_late_segments_are_taken_in_after_compaction(lake, config, tmp_path):
    """And compacted with the next run: bronze gets one file more, silver is one part again."""
    staging = tmp_path / "staging"
    manifests = seal(staging, records(4, seconds=120, gaps=0.03))
    late = [manifests.pop(4), manifests.pop(6)]
    fill(lake, config, staging, manifests)
    run(lake)
    fill(lake, config, staging, late)
    wanted = everything(lake)
    done = run(lake)
    assert {one.what for one in done} >= {"bronze/orderbook", "silver/orderbook"}
    assert_same(everything(lake), wanted)
    for place in places_of(lake, "ccxt", DAY):
        for dataset in STORED:
            replace(lake, recipe_of(dataset.asset, lake, config, "ccxt"), place)
    assert_same(everything(lake), wanted)
    assert len(list(lake.raw.glob(f"archive/ccxt/orderbook/date={DAY}/*.parquet"))) == 2


def test_new_rows_are_appended_after_compaction(lake, config, tmp_path):
    """A day compacted by hand while its collector still runs behind."""
    staging = tmp_path / "staging"
    manifests = seal(staging, records(5, seconds=90, gaps=0.03))
    fill(lake, config, staging, manifests[:5])
    run(lake)
    fill(lake, config, staging, manifests[5:])
    place = places_of(lake, "ccxt", DAY)[0]
    parts = parts_of(lake.partition(place, GOLD_BARS.folder))
    assert parts[0].is_merged
    assert not parts[-1].is_merged
    found = everything(lake)
    for place in places_of(lake, "ccxt", DAY):
        for dataset in STORED:
            replace(lake, recipe_of(dataset.asset, lake, config, "ccxt"), place)
    assert_same(everything(lake), found)


def test_files_stay_apart_from_the_target_size_on(filled):
    """A file of the target size is never written again, so work does not grow with what is stored."""
    small = Compaction(target_file_mb=1)
    place = places_of(filled, "ccxt", DAY)[0]
    directory = filled.partition(place, SILVER_ORDERBOOK.folder)
    big = directory / parts_of(directory)[2].name
    table = pq.read_table(big)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"filling": b"x" * (2 << 20)}), big)
    names = [part.name for part in parts_of(directory)]
    run(filled, small, Selection(exchange=place.instrument.exchange, symbol=place.instrument.safe_symbol))
    after = parts_of(directory)
    assert [part.is_merged for part in after] == [True, False, True][: len(after)]
    assert after[1].name == names[2]
    assert run(filled, small, Selection(exchange=place.instrument.exchange)) is not None


def test_a_selection_compacts_nothing_else(filled):
    place = places_of(filled, "ccxt", DAY)[1]
    chosen = Selection(
        exchange=place.instrument.exchange, symbol=place.instrument.safe_symbol, channels=frozenset({"trades"})
    )
    assert [(one.what, one.partition) for one in run(filled, selection=chosen)] == [
        ("silver/trades", f"{DAY}|{place.instrument.key}")
    ]
    assert run(filled, selection=Selection(first="2026-11-21")) == []
    assert {one.what for one in run(filled, selection=Selection(last=DAY, channels=frozenset({"gaps"})))} == {
        "bronze/gaps"
    }


def test_checks_hold_after_compaction(filled, config):
    run(filled)
    for place in places_of(filled, "ccxt", DAY):
        for dataset in STORED:
            for name, check in CHECKS[dataset].items():
                verdict = check(Stored(filled, config, dataset, place))
                assert verdict.is_passed, (dataset.asset, name, verdict)


def test_a_segment_that_rotted_is_not_compacted(filled):
    """Its day stays as it was, with one clear error; everything else is compacted."""
    path = sorted(filled.raw.glob(f"archive/ccxt/trades/date={DAY}/*.parquet"))[2]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = sorted(filled.raw.rglob(f"archive/ccxt/trades/date={DAY}/*"))
    done = run(filled)
    (failed,) = [one for one in done if isinstance(one, NotCompacted)]
    assert failed.what == "bronze/trades"
    assert path.name in str(failed.error)
    assert sorted(filled.raw.rglob(f"archive/ccxt/trades/date={DAY}/*")) == before
    assert len(done) > 10


def no_parquet(part):
    part.write_bytes(b"no parquet")


def a_page_rotted(part):
    data = bytearray(part.read_bytes())
    start = pq.read_metadata(part).row_group(0).column(0).data_page_offset
    data[start + 16 : start + 64] = bytes(48)
    part.write_bytes(data)


def gone_between_listing_and_opening(part):
    part.unlink()
    part.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_parquet, "cannot be read"),
        (a_page_rotted, "cannot be merged"),
        (gone_between_listing_and_opening, "kept vanishing"),
    ],
)
def test_a_part_that_cannot_be_read_is_not_compacted_and_the_rest_is(filled, damage, said):
    place = places_of(filled, "ccxt", DAY)[0]
    directory = filled.partition(place, GOLD_BARS.folder)
    damage(directory / parts_of(directory)[1].name)
    before = sorted(directory.iterdir())
    done = run(filled)
    failed = [one for one in done if isinstance(one, NotCompacted)]
    assert [(one.what, one.partition) for one in failed] == [("gold/bars", f"{DAY}|{place.instrument.key}")]
    assert type(failed[0].error) is DataError
    assert said in failed[0].error.message
    assert sorted(directory.iterdir()) == before
    assert len(done) > 10


def test_a_missing_segment_is_an_error_not_fewer_rows(filled, config):
    """What a manifest promises and no file holds is never passed over."""
    next(filled.raw.glob(f"archive/ccxt/trades/date={DAY}/*.parquet")).unlink()
    run(filled)
    outcomes = [error_of_replacing(filled, config, place) for place in places_of(filled, "ccxt", DAY)]
    assert any("is not there" in outcome for outcome in outcomes)


def error_of_replacing(lake, config, place):
    try:
        replace(lake, recipe_of("silver/trades", lake, config, "ccxt"), place)
    except Exception as error:  # noqa: BLE001 - its text is what is looked at
        return str(error)
    return ""


class Reader(threading.Thread):
    """Somebody who reads with plain polars, again and again; a file that vanished under it is read again."""

    def __init__(self, pattern, names):
        super().__init__(daemon=True)
        self.pattern, self.names = pattern, names
        self.reads, self.wrong, self.stopped = 0, [], False
        self.wanted = self.read()

    def read(self):
        rows = pl.scan_parquet(self.pattern, hive_partitioning=False).select(self.names).collect()
        return rows.with_columns(pl.col(pl.Categorical).cast(pl.String)).sort(self.names)

    def run(self):
        while not self.stopped:
            try:
                rows = self.read()
            except FileNotFoundError:
                continue
            except pl.exceptions.ComputeError as error:
                if "No such file" not in str(error):
                    self.wrong.append(str(error))
                continue
            self.reads += 1
            if not rows.equals(self.wanted):
                self.wrong.append(rows.height)


def test_readers_see_every_row_once_at_every_moment(lake, config, tmp_path):
    """While days are compacted and backfilled, again and again."""
    staging = tmp_path / "staging"
    fill(lake, config, staging, seal(staging, records(6, seconds=60)))
    who = ["exchange", "symbol"]
    readers = [
        Reader(f"{lake.root}/raw/archive/ccxt/orderbook/date={DAY}/*.parquet", [*who, "seq"]),
        Reader(f"{lake.root}/processed/ccxt/{SILVER_ORDERBOOK.folder}/**/*.parquet", [*who, "ts"]),
        Reader(f"{lake.root}/processed/ccxt/{GOLD_BARS.folder}/**/*.parquet", [*who, "ts", "bar_us"]),
    ]
    for reader in readers:
        assert reader.wanted.height == reader.wanted.unique().height > 100
        reader.start()
    places = places_of(lake, "ccxt", DAY)
    for number in range(3):
        run(lake)
        for place in places:
            for asset in ("silver/orderbook", "gold/bars"):
                replace(lake, recipe_of(asset, lake, config, "ccxt"), place)
        split(lake, number)
    run(lake)
    for reader in readers:
        reader.stopped = True
        reader.join(30)
    assert [reader.wrong for reader in readers] == [[], [], []]
    assert all(reader.reads > 3 for reader in readers)


def split(lake, number):
    """Give silver and gold two parts each again, in one step."""
    for dataset in (SILVER_ORDERBOOK, GOLD_BARS):
        for place in lake.places("ccxt", dataset.folder, DAY):
            directory = lake.partition(place, dataset.folder)
            (part,) = parts_of(directory)
            table = pq.read_table(directory / part.name)
            middle = table["ts"][len(table) // 2].as_py()
            is_first = pc.less_equal(table["ts"], middle)
            made = new_directory(lake.work)
            pq.write_table(table.filter(is_first), made / f"part-{part.from_us}-{middle}-{number:012x}.parquet")
            pq.write_table(
                table.filter(pc.invert(is_first)), made / f"part-{middle}-{part.to_us}-{number:012x}.parquet"
            )
            swap(made, directory)
