"""The heart: what it says of readiness, and the sign of life it leaves."""

import asyncio

import pytest

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.model import Config
from fluxforge_collector.health.heartbeat import read_heartbeat
from fluxforge_collector.metrics import Tally
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.service.heart import Heart

STREAM = ("okx", "A/B", "orderbook")


class Writers:
    """Writers as a heart hears of them."""

    def __init__(self):
        self.why, self.quiet_s = [], {"the writer of ccxt": 0.0, "the watch over okx": 3.0}

    def whys(self):
        return list(self.why)


@pytest.fixture
def writers():
    return Writers()


@pytest.fixture
def paths(tmp_path):
    paths = SourcePaths(tmp_path, "ccxt")
    paths.active_dir.mkdir(parents=True)
    return paths


@pytest.fixture
def tally():
    tally = Tally()
    tally.queue_limit_records = 10
    return tally


@pytest.fixture
def heart(paths, tally, writers):
    config = Config.model_validate({"lake": {"root": str(paths.root)}})
    return Heart(
        config, {"ccxt": [STREAM]}, SystemClock(), tally, whys_stopped=writers.whys, quiet_s=lambda: writers.quiet_s
    )


def test_ready_needs_a_record_a_writer_that_writes_and_room_in_the_queue(heart, tally, writers):
    assert heart.why_not_ready() == ["no record yet"]
    tally.records["okx", "orderbook"] = 1
    assert heart.why_not_ready() == []
    tally.queue_records = 10
    writers.why = ["cannot flush: No space left on device"]
    assert heart.why_not_ready() == ["cannot flush: No space left on device", "the queue is full"]


@pytest.mark.parametrize("what", ["the writer of ccxt", "the watch over okx"])
def test_alive_unless_what_must_move_stands_still(what, heart, writers):
    assert heart.why_not_alive() == []
    writers.quiet_s[what] = 200.0
    assert heart.why_not_alive() == [f"{what} has not moved for 200 s"]


@pytest.mark.asyncio
async def test_each_beat_tells_how_things_stand_and_since_when(heart, paths, tally, writers):
    await heart.beat()
    first = read_heartbeat(paths.heartbeat("c1"))
    assert (first.why_not_ready, first.stopped) == (("no record yet",), False)
    assert first.streams[0][:3] == STREAM
    assert first.streams[0].last_us is None
    await heart.beat()
    second = read_heartbeat(paths.heartbeat("c1"))
    assert second.at_us > first.at_us
    assert second.not_ready_since_us == first.not_ready_since_us == first.at_us
    tally.records["okx", "orderbook"] = 1
    tally.last_us[STREAM] = 77
    tally.gaps["okx", "stale"] = 2
    await heart.beat(stopped=True)
    last = read_heartbeat(paths.heartbeat("c1"))
    assert (last.stopped, last.not_ready_since_us, last.streams[0].last_us, last.gaps) == (True, None, 77, {"stale": 2})


@pytest.mark.asyncio
async def test_a_lake_that_vanished_does_not_stop_it(heart, paths, until):
    paths.active_dir.rmdir()
    task = asyncio.create_task(heart.run())
    await until(lambda: heart.seen.beat_us)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
