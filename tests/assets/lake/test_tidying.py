"""An open day in few files: the rows stay, what was merged stays, and real time goes on as if nothing had happened."""

from itertools import pairwise

import pytest
from polars.testing import assert_frame_equal
from support.market import DAY, NOON_US, SECOND, deliver, records, seal

from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import NotCompacted, compact
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK, SILVER_TICKER, SILVER_TRADES
from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.places import Selection
from fluxforge_assets.lake.tidying import Untidy
from fluxforge_assets.lake.update import places_of, recipe_of, update
from fluxforge_collector.config.model import Compaction

STORED = (SILVER_ORDERBOOK, SILVER_TRADES, SILVER_TICKER, GOLD_BARS)
MANY = Compaction(open_day_parts=4)
LATER_US = NOON_US + 3 * 86_400 * SECOND


class Day:
    """A day whose segments come one by one, and are computed as real time does; tidied between them, or not."""

    def __init__(self, lake, config, staging, manifests):
        self.lake, self.config, self.staging, self.manifests = lake, config, staging, manifests
        self.untidy = Untidy(lake, MANY)

    def pass_by(self, count, is_interrupted=lambda: False):
        """So many segments; what tidying did."""
        done = []
        for _ in range(count):
            deliver(self.staging, self.lake.root, [self.manifests.pop(0)])
            land(self.lake, "ccxt")
            for change in update(self.lake, self.config, "ccxt", DAY):
                assert not hasattr(change, "error"), change
                self.untidy.changed(change)
            done += self.untidy.tidy(is_interrupted)
        return done

    def parts(self):
        """The parts of each partition."""
        return {
            (dataset.asset, place): parts_of(self.lake.partition(place, dataset.folder))
            for dataset in STORED
            for place in self.lake.places("ccxt", dataset.folder, DAY)
        }


@pytest.fixture
def day(lake, config, tmp_path):
    manifests = seal(tmp_path / "staging", records(2, seconds=120, gaps=0.02))
    return Day(lake, config, tmp_path / "staging", manifests)


def tables(lake, stored):
    return {
        (dataset.asset, place): stored(place, dataset.folder)
        for dataset in STORED
        for place in lake.places("ccxt", dataset.folder, DAY)
    }


def assert_as_a_backfill(day, stored):
    """A backfill of everything gives exactly the rows that are stored."""
    found = tables(day.lake, stored)
    for place in places_of(day.lake, "ccxt", DAY):
        for dataset in STORED:
            replace(day.lake, recipe_of(dataset.asset, day.lake, day.config, "ccxt"), place)
    for key, frame in tables(day.lake, stored).items():
        assert_frame_equal(found[key], frame, check_exact=True)


def test_parts_stay_few_and_nothing_is_written_twice(day, stored):
    done = day.pass_by(len(day.manifests))
    assert all(isinstance(one, Compacted) for one in done), done
    assert {one.what for one in done} == {dataset.asset for dataset in STORED}
    for key, parts in day.parts().items():
        appended = [part for part in parts if not part.is_merged]
        assert len(appended) < MANY.open_day_parts, key
        assert parts == sorted(parts)
        assert all(first.to_us <= second.from_us for first, second in pairwise(parts))
    assert all(one.rows for one in done)
    written = {}
    for one in done:
        written[one.what, one.partition] = written.get((one.what, one.partition), 0) + one.rows
    for (asset, place), frame in tables(day.lake, stored).items():
        assert written[asset, f"{DAY}|{place.instrument.key}"] <= frame.height, "a row was merged twice"
    assert_as_a_backfill(day, stored)


def test_nothing_is_computed_again_and_a_closed_day_becomes_one_file(day, stored):
    day.pass_by(9)
    assert any(part.is_merged for parts in day.parts().values() for part in parts)
    assert list(update(day.lake, day.config, "ccxt", DAY)) == []
    before = tables(day.lake, stored)
    assert all(isinstance(one, Compacted) for one in compact(day.lake, MANY, Selection(), now_us=LATER_US))
    assert {len(parts) for parts in day.parts().values()} == {1}
    for key, frame in tables(day.lake, stored).items():
        assert_frame_equal(before[key], frame, check_exact=True)


def test_late_segments_are_taken_into_what_was_merged(day, stored):
    late = day.manifests.pop(2)
    day.pass_by(8)
    day.manifests.insert(0, late)
    day.pass_by(3)
    assert_as_a_backfill(day, stored)


def test_what_is_more_urgent_goes_first(day):
    assert day.pass_by(6, is_interrupted=lambda: True) == []
    assert not any(part.is_merged for parts in day.parts().values() for part in parts)
    assert list(day.untidy.tidy(lambda: False))


def test_a_part_that_rotted_leaves_its_partition_as_it_was(day):
    day.pass_by(3)
    place = places_of(day.lake, "ccxt", DAY)[0]
    directory = day.lake.partition(place, SILVER_TRADES.folder)
    (directory / parts_of(directory)[0].name).write_bytes(b"no parquet")
    done = day.pass_by(3)
    failed = {(one.what, one.partition) for one in done if isinstance(one, NotCompacted)}
    assert failed == {("silver/trades", f"{DAY}|{place.instrument.key}")}
    assert not any(part.is_merged for part in parts_of(directory))
    assert any(isinstance(one, Compacted) for one in done)


def test_nothing_is_merged_where_compaction_is_off(day):
    day.untidy = Untidy(day.lake, MANY.model_copy(update={"enabled": False}))
    assert day.pass_by(6) == []
