"""Since when nothing was collected, also where the clock of an earlier run was wrong."""

import asyncio
import itertools

import pytest
from support.clock import HandClock
from support.market import NOON_US, SECOND

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import read_manifest
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.service.absence import last_manifest, was_ahead
from fluxforge_collector.service.plan import Plan
from fluxforge_collector.service.source import Source
from fluxforge_collector.storage.changes import move

BOOK = Stream(Channel.ORDERBOOK, "BTC/USDT")


class Absent:
    """An exchange that never brings anything, and says so when it is asked."""

    unwatched_s = 0.0

    def __init__(self, ends, start):
        self._ends, self._start = ends, start

    def checkpoint(self, at_us):
        self._start = self._ends.write_absence("okx", [BOOK], self._start, at_us, "no markets")


@pytest.fixture
def run(tmp_path):
    """Run a source for five seconds from an instant, seconds after noon; the ranges of its segments, the gaps told."""

    def go(begin_s):
        clock, tally = HandClock(NOON_US + begin_s * SECOND), Tally()
        plan = Plan("ccxt", {"okx": [BOOK]}, lambda ends, start, _refuse: [Absent(ends, start)])
        numbers = {"next_seq": itertools.count().__next__, "next_conn": itertools.count().__next__}
        source = Source(plan, tmp_path, Ingestion(), clock=clock, tally=tally, **numbers, on_rotated=lambda: None)
        before = set(tmp_path.glob("raw/ready/ccxt/*.json"))
        source.open()
        clock.now_us += 5 * SECOND
        asyncio.run(source.finish())
        sealed = map(read_manifest, set(tmp_path.glob("raw/ready/ccxt/*.json")) - before)
        ranges = sorted(((m.from_us - NOON_US) / SECOND, (m.to_us - NOON_US) / SECOND) for m in sealed)
        return ranges, {str(reason): count for (_, reason), count in tally.gaps.items()}

    return go


def test_a_second_run_tells_of_the_time_since_the_first(run):
    assert run(0) == ([(0, 5)], {})
    assert run(20) == ([(20, 25)], {"shutdown": 1})


def test_the_last_segment_is_found_beside_dates_that_only_a_wrong_clock_has_shown(run, tmp_path):
    for day in (0, 3, 4):
        run(day * 86_400)
    paths = SourcePaths(tmp_path, "ccxt")
    for manifest in map(read_manifest, paths.ready_dir.glob("segment_*.json")):
        move(paths.ready_manifest(manifest.id), paths.archive_manifest(manifest.date, manifest.id))
    now_us = NOON_US + 20 * SECOND
    assert was_ahead(paths, Ingestion().collector, now_us)
    assert last_manifest(paths, Ingestion().collector, now_us).to_us == NOON_US + 5 * SECOND


def test_no_time_is_covered_that_only_a_wrong_clock_has_shown(run):
    """Else the time up to the wrong one would be sealed as if it had been collected, a segment a minute."""
    assert run(3600) == ([(3600, 3605)], {})
    assert run(0) == ([(0, 5)], {"clock": 1})
    assert run(30) == ([(30, 35)], {"clock": 1})
    assert run(3700) == ([(3700, 3705)], {"shutdown": 1})
