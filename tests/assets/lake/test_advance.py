"""Incremental = full: any split of the data over segments and runs gives the rows that one computation gives."""

import errno
import itertools
import json
import random

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, INSTRUMENTS, NOON_US, SECOND, config_of, deliver, moment, records, seal

from fluxforge_assets.lake.advance import advance, replace
from fluxforge_assets.lake.checks import CHECKS, Stored
from fluxforge_assets.lake.compaction import compact
from fluxforge_assets.lake.datasets import GOLD_BARS
from fluxforge_assets.lake.events import SilverTrades
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.tries import tries
from fluxforge_assets.lake.update import places_of, recipe_of, recipes, update
from fluxforge_collector.errors import DataError, StorageError
from fluxforge_collector.instruments import Instrument

FAR_US = NOON_US + 30 * 86_400 * SECOND
DAYS = (DAY, "2026-11-21")
MIDNIGHT_US = NOON_US + 12 * 3600 * SECOND


def run(lake, config):
    """What a real-time run does, for both days."""
    land(lake, "ccxt")
    outcomes = [outcome for day in DAYS for outcome in update(lake, config, "ccxt", day)]
    assert all(isinstance(outcome, Change) for outcome in outcomes), outcomes
    return outcomes


def everything(lake, config, stored):
    """Every partition of every dataset, by dataset and place."""
    return {
        (recipe.dataset.asset, place): stored(place, recipe.dataset.folder)
        for recipe in recipes(lake, config, "ccxt")
        for day in DAYS
        for place in places_of(lake, "ccxt", day)
    }


def rebuilt(lake, config):
    """Replace every partition, upstream first."""
    for day in DAYS:
        for place in places_of(lake, "ccxt", day):
            for recipe in recipes(lake, config, "ccxt"):
                replace(lake, recipe, place)


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for key, frame in wanted.items():
        if frame is None or not frame.height:
            assert found[key] is None or not found[key].height, key
        else:
            assert found[key] is not None, key
            print(key)
            assert_frame_equal(found[key], frame, check_exact=True)


@pytest.mark.parametrize("seed", range(2))
def test_any_split_of_segments_and_runs_gives_the_rows_of_a_backfill(tmp_path, stored, lake, config, seed):
    print("seed", seed)
    rng = random.Random(seed)
    made = records(seed, start_us=MIDNIGHT_US - 45 * SECOND, seconds=90, gaps=0.02)
    manifests = seal(tmp_path / "staging", made, seed=seed, early=0.02)
    while manifests:
        count = rng.randint(1, 4)
        deliver(tmp_path / "staging", lake.root, manifests[:count])
        manifests = manifests[count:]
        run(lake, config)
    found = everything(lake, config, stored)
    assert sum(frame.height for frame in found.values() if frame is not None) > 300
    rebuilt(lake, config)
    assert_same(found, everything(lake, config, stored))


@pytest.mark.parametrize("seed", range(2))
def test_segments_that_come_late_are_made_up_for(tmp_path, stored, lake, config, seed):
    """Segments arrive in any order, as after a crash of the collector's machine."""
    print("seed", seed)
    made = records(seed, seconds=60, gaps=0.02, instruments=INSTRUMENTS[:1])
    manifests = seal(tmp_path / "staging", made, seed=seed, early=0.01)
    last = manifests.pop()
    random.Random(seed).shuffle(manifests)
    for manifest in (*manifests, last):
        deliver(tmp_path / "staging", lake.root, [manifest])
        run(lake, config)
    found = everything(lake, config, stored)
    rebuilt(lake, config)
    assert_same(found, everything(lake, config, stored))


def test_a_run_without_anything_new_changes_nothing(lake, config):
    seal(lake.root, records(1, seconds=40))
    assert run(lake, config)
    before = sorted((path, path.stat().st_ino) for path in (lake.root / "processed").rglob("*.parquet"))
    assert run(lake, config) == []
    assert before == sorted((path, path.stat().st_ino) for path in (lake.root / "processed").rglob("*.parquet"))


def test_parts_are_disjoint_and_ascending(tmp_path, lake, config):
    manifests = seal(tmp_path / "staging", records(5, seconds=60))
    for manifest in manifests:
        deliver(tmp_path / "staging", lake.root, [manifest])
        run(lake, config)
    for recipe in recipes(lake, config, "ccxt"):
        for place in lake.places("ccxt", recipe.dataset.folder, DAY):
            parts = parts_of(lake.partition(place, recipe.dataset.folder))
            assert parts
            assert all(a.to_us <= b.from_us for a, b in itertools.pairwise(parts))


def test_a_new_configuration_builds_the_open_day_again(tmp_path, stored, lake, config):
    manifests = seal(tmp_path / "staging", records(6, seconds=60))
    deliver(tmp_path / "staging", lake.root, manifests[:3])
    run(lake, config)
    changed = config_of(lake.root, horizons=[1, 10])
    deliver(tmp_path / "staging", lake.root, manifests[3:])
    run(lake, changed)
    place = places_of(lake, "ccxt", DAY)[0]
    frame = stored(place, "orderbook/hf")
    assert "log_ret_10s" in frame.columns
    assert "log_ret_5s" not in frame.columns
    replace(lake, recipe_of("silver/orderbook", lake, changed, "ccxt"), place)
    assert_frame_equal(frame, stored(place, "orderbook/hf"))


def test_late_data_rebuilds_only_its_range(tmp_path, lake, config):
    """Parts before the late segment stay the same files."""
    manifests = seal(tmp_path / "staging", records(7, seconds=80))
    late = manifests.pop(5)
    for manifest in manifests:
        deliver(tmp_path / "staging", lake.root, [manifest])
        run(lake, config)
    place = places_of(lake, "ccxt", DAY)[0]
    directory = lake.partition(place, "orderbook/hf")
    kept = {path.name: path.stat().st_ino for path in directory.iterdir() if parts_of(directory)}
    deliver(tmp_path / "staging", lake.root, [late])
    changes = run(lake, config)
    assert any(change.is_rebuilt for change in changes)
    now = {path.name: path.stat().st_ino for path in directory.iterdir()}
    same = [name for name in kept if now.get(name) == kept[name]]
    assert same
    assert len(same) < len(kept)


def test_a_hole_parts_the_events_around_it(tmp_path, stored, lake, config):
    """A segment that never came is a gap: no pair is formed across it."""
    manifests = seal(tmp_path / "staging", records(8, seconds=40), segment_seconds=5)
    lost = manifests.pop(4)
    deliver(tmp_path / "staging", lake.root, manifests)
    run(lake, config)
    place = places_of(lake, "ccxt", DAY)[0]
    frame = stored(place, "orderbook/hf")
    first_after = frame.filter((pl.col("ts") > lost.to_us) & (pl.col("n_book") > 0)).head(1)
    assert first_after["n_break"].to_list() == [1]


def test_volumes_and_events_are_those_of_bronze(lake, config, stored):
    made = records(9, seconds=60)
    seal(lake.root, made)
    run(lake, config)
    key = Instrument("binanceus", "BTC/USDT")
    place = Place("ccxt", key, DAY)
    once = {}
    for record in made:
        if type(record).__name__ == "TradeRecord" and (record.exchange, record.symbol) == key:
            once.setdefault(record.trade_id, record)
    trades = stored(place, "trades")
    assert trades["trade_id"].to_list() == list(once)
    until = Lake(lake.root).partition(place, "orderbook/hf")
    end = max(part.to_us for part in parts_of(until))
    volume = sum(r.amount for r in once.values() if r.capture_us < end)
    assert stored(place, "orderbook/hf")["vol"].sum() == pytest.approx(volume, rel=1e-12)


def test_what_fails_leaves_the_partition_as_it_was(tmp_path, lake, config):
    """A bronze file that rots in the archive: one clear error, other instruments go on."""
    manifests = seal(tmp_path / "staging", records(10, seconds=60))
    deliver(tmp_path / "staging", lake.root, manifests[:-1])
    run(lake, config)
    deliver(tmp_path / "staging", lake.root, manifests[-1:])
    land(lake, "ccxt")
    rotten = manifests[-2]
    path = lake.segments("ccxt").archive_file("trades", DAY, rotten.id)
    path.write_bytes(b"no parquet at all")
    before = sorted((lake.root / "processed").rglob("*.parquet"))
    outcomes = list(update(lake, config, "ccxt", DAY))
    errors = [str(o.error) for o in outcomes if not isinstance(o, Change)]
    assert errors
    assert all(path.name in error for error in errors)
    assert set(before) <= set((lake.root / "processed").rglob("*.parquet"))


class Refused(SilverTrades):
    """Trades that cannot be computed, for a reason that is no error of ours."""

    error = None

    def rows(self, place, from_us, to_us):
        raise self.error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (OSError("Corrupt snappy compressed data."), DataError),
        (pa.ArrowInvalid("Mismatching schemas"), DataError),
        (pl.exceptions.ComputeError("parquet: File out of specification"), DataError),
    ],
    ids=["full disk", "rotten page", "Arrow", "polars"],
)
@pytest.mark.parametrize("way", [advance, replace])
def test_what_libraries_raise_is_told_in_our_words(lake, config, way, error, ours):
    """So that whoever goes over many partitions goes on with the rest, and blames the data for no full disk."""
    seal(lake.root, records(11, seconds=20, instruments=INSTRUMENTS[:1]))
    land(lake, "ccxt")
    recipe = Refused(lake, config, "ccxt")
    recipe.error = error
    (place,) = places_of(lake, "ccxt", DAY)
    with pytest.raises(ours) as told:
        way(lake, recipe, place)
    assert type(told.value) is ours
    assert str(error) in str(told.value)
    assert lake.places("ccxt", "trades", DAY) == []


def test_advance_by_hand_is_idempotent(lake, config):
    seal(lake.root, records(11, seconds=30))
    land(lake, "ccxt")
    place = places_of(lake, "ccxt", DAY)[0]
    recipe = recipe_of("silver/trades", lake, config, "ccxt")
    assert advance(lake, recipe, place).rows > 0
    assert advance(lake, recipe_of("silver/trades", lake, config, "ccxt"), place) is None


@pytest.mark.parametrize("seed", range(2))
def test_bars_that_span_midnight_or_outlast_the_look_back(tmp_path, stored, lake, seed):
    """7 s does not divide the day; four hours is longer than any look-back. Late evening data rebuilds the morning."""
    print("seed", seed)
    config = config_of(lake.root, bar_durations=[7, 900, 14400])
    start_us = MIDNIGHT_US - 7 * SECOND * 20
    made = records(seed, start_us=start_us, seconds=220, instruments=INSTRUMENTS[:1])
    quiet_us = MIDNIGHT_US + 4 * 3600 * SECOND
    made += records(seed + 50, start_us=quiet_us - 20 * SECOND, seconds=40, instruments=INSTRUMENTS[:1])
    manifests = seal(tmp_path / "staging", made, seed=seed, segment_seconds=60)
    late = next(m for m in manifests if m.to_us == MIDNIGHT_US)
    manifests.remove(late)
    rng = random.Random(seed)
    while manifests:
        count = rng.randint(1, 40)
        deliver(tmp_path / "staging", lake.root, manifests[:count])
        manifests = manifests[count:]
        run(lake, config)
    deliver(tmp_path / "staging", lake.root, [late])
    run(lake, config)
    found = everything(lake, config, stored)
    place = places_of(lake, "ccxt", DAYS[1])[0]
    bars = found["gold/bars", place]
    end_us = -(-MIDNIGHT_US // (7 * SECOND)) * 7 * SECOND
    evening = found["silver/orderbook", places_of(lake, "ccxt", DAYS[0])[0]]
    rows = pl.concat([evening["ts"], found["silver/orderbook", place]["ts"]])
    rows = rows.filter((rows > end_us - 7 * SECOND) & (rows <= end_us))
    across = bars.filter((pl.col("ts") == end_us) & (pl.col("bar_us") == 7 * SECOND))
    assert across["n_rows"].to_list() == [n for n in [len(rows)] if n]
    assert seed or len(rows.filter(rows <= MIDNIGHT_US)) > 0
    (four_hours,) = bars.filter(pl.col("bar_us") == 14400 * SECOND).to_dicts()
    silver = found["silver/orderbook", place].filter(pl.col("ts") <= quiet_us)
    assert four_hours["ts"] == quiet_us
    assert four_hours["n_rows"] == silver.height
    for known in (*places_of(lake, "ccxt", DAYS[0]), place):
        verdict = CHECKS[GOLD_BARS]["bar_volume_conserved"](Stored(lake, config, GOLD_BARS, known))
        assert verdict.is_passed, verdict.detail
    rebuilt(lake, config)
    assert_same(found, everything(lake, config, stored))


def failures(lake, config):
    """What failed of an update."""
    return [o for o in update(lake, config, "ccxt", DAY) if not isinstance(o, Change)]


def test_what_keeps_failing_is_set_aside_and_the_rest_goes_on(lake, config, stored):
    """A compacted file holds a day, too much to give up. The tries outlast the process; a success starts anew."""
    seal(lake.root, records(12, seconds=30))
    land(lake, "ccxt")
    assert list(compact(lake, config.compaction, Selection(channels=frozenset({"ticker"})), now_us=FAR_US))
    (path,) = lake.raw.glob(f"archive/ccxt/ticker/date={DAY}/segments_*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(200) + whole[204:])
    rounds = [failures(lake, config) for _ in range(config.etl.max_tries + 1)]
    assert all(failed.asset == "silver/ticker" for found in rounds for failed in found)
    assert [any(f.is_set_aside for f in found) for found in rounds] == [False] * 4 + [True, False]
    assert rounds[-1] == []
    place = rounds[0][0].place
    assert stored(place, "orderbook/hf").height > 0
    assert "cannot be read" in tries(lake, "ccxt", DAY)[f"silver/ticker {place.instrument.key}"].error
    path.write_bytes(whole)
    assert list(update(lake, config, "ccxt", DAY)) == []
    for failed in rounds[0]:
        assert replace(lake, recipe_of("silver/ticker", lake, config, "ccxt"), failed.place).rows > 0
    assert tries(lake, "ccxt", DAY) == {}


def test_a_landed_segment_that_keeps_failing_goes_to_quarantine_and_is_a_gap(tmp_path, lake, config, stored):
    """With its reason, after the last try; nobody waits for it then, and moved back it is taken in as late data."""
    manifests = seal(tmp_path / "staging", records(12, seconds=50))
    deliver(tmp_path / "staging", lake.root, manifests)
    land(lake, "ccxt")
    bad = manifests[1]
    path = lake.segments("ccxt").archive_file("orderbook", DAY, bad.id)
    whole = path.read_bytes()
    path.write_bytes(b"no parquet at all")
    for left in range(config.etl.max_tries, 0, -1):
        found = failures(lake, config)
        assert {f.asset for f in found} == {"silver/orderbook"}
        assert not any(f.is_set_aside for f in found)
        assert path.exists() == (left > 1)
    assert "its segment went to quarantine after 5 tries" in str(found[0].error)
    assert failures(lake, config) == []
    quarantined = lake.segments("ccxt").quarantine_dir
    for name in (f"segment_{bad.id}.json", f"orderbook/segment_{bad.id}.parquet", f"trades/segment_{bad.id}.parquet"):
        reason = json.loads((quarantined / f"{name}.reason.json").read_text())["reason"]
        assert str(path) in reason
    assert tries(lake, "ccxt", DAY) == {}
    (place, *_) = places_of(lake, "ccxt", DAY)
    assert not stored(place, "orderbook/hf").filter(pl.col("ts").is_between(bad.from_us + 1, bad.to_us - 1)).height
    ready = lake.segments("ccxt").ready_dir
    (quarantined / "orderbook" / f"segment_{bad.id}.parquet").write_bytes(whole)
    for name in [f"{channel}/segment_{bad.id}.parquet" for channel, e in bad.channels.items() if e.file] + [
        f"segment_{bad.id}.json"
    ]:
        (quarantined / name).rename(ready / name)
    assert [m.id for m in land(lake, "ccxt").manifests] == [bad.id]
    assert failures(lake, config) == []
    found = everything(lake, config, stored)
    rebuilt(lake, config)
    assert_same(found, everything(lake, config, stored))


def test_a_silence_and_unusable_books_after_it_build_nothing_again(tmp_path, lake, config):
    """Bars settle up to the watermark while an instrument is silent; what ends the silence only adds."""
    made = records(13, seconds=20, instruments=INSTRUMENTS[:2])
    silent = [r for r in made if r.symbol == "ETH/USDT"]
    others = records(14, seconds=80, instruments=INSTRUMENTS[:1])
    book = next(r for r in silent if type(r).__name__ == "BookRecord")
    crossed = book._replace(capture_us=NOON_US + 65 * SECOND, bids=book.asks, asks=book.bids, nonce=10**6)
    whole = sorted([*silent, crossed, *others], key=moment)
    manifests = seal(tmp_path / "staging", [r._replace(seq=seq) for seq, r in enumerate(whole)])
    outcomes = []
    for manifest in manifests:
        deliver(tmp_path / "staging", lake.root, [manifest])
        outcomes += run(lake, config)
    assert outcomes
    assert not [o for o in outcomes if o.is_rebuilt]
