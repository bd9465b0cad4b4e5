"""A collector killed at any moment, recovery included: nothing flushed is lost, nothing is there twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.segments.names import RawFormat
from fluxforge_collector.segments.recovery import recover

KILLED = -signal.SIGKILL


class Victim:
    """Lives, one after another, over one lake."""

    def __init__(self, lake):
        self.lake, self.lives = lake, 0
        lake.root.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("victim.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def live(self, kind="short", kill_at=None, kill_after_s=None):
        """How a life ended, and how many changes it counted."""
        self.lives += 1
        life = {"root": str(self.lake.root), "kind": kind, "first": self.lives * 1_000_000, "kill_at": kill_at}
        life["raw_format"] = self.lake.form.value
        self.process.stdin.write(json.dumps(life) + "\n")
        self.process.stdin.flush()
        said = {}
        while "ended" not in said:
            said |= json.loads(self.process.stdout.readline())
            if kill_after_s is not None and "ended" not in said:
                time.sleep(kill_after_s)  # the moment of death itself, not a wait for anything
                os.kill(said["pid"], signal.SIGKILL)
                kill_after_s = None
        assert "error" not in said, said
        return said["ended"], said.get("changes")

    def check(self):
        """Recover, then compare the lake with what was acknowledged."""
        self.lake.clock.now_us = time.time_ns() // 1000
        recover(self.lake.root, "ccxt", Ingestion(), self.lake.clock)
        acks = self.lake.root.parent / "acks"
        acked = [int(line) for line in acks.read_text().split()] if acks.exists() else []
        for channel, value in (("orderbook", lambda r: r["bids"][0]["price"]), ("trades", lambda r: r["price"])):
            rows = self.lake.rows(channel)
            counts = Counter(r["seq"] for r in rows)
            assert not set(acked) - set(counts), "flushed rows are lost"
            assert max(counts.values(), default=1) == 1, "rows are doubled"
            assert all(value(r) == r["seq"] for r in rows)
            assert len(counts) - len(acked) <= 4 * self.lives, "at most one flush a life was not acknowledged"
        assert self.lake.leftovers() == []
        return acked

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def victim(lake):
    victim = Victim(lake)
    yield victim
    victim.end()


def _seed():
    seed = int(os.environ.get("FLUXFORGE_SEED", random.randrange(1 << 32)))
    print("FLUXFORGE_SEED =", seed)
    return random.Random(seed)


def _killed_at(victim, point, rng):
    """A life killed at a point, a recovery killed at a random one, perhaps another, then all is checked."""
    ended, _ = victim.live(kill_at=point)
    assert ended == KILLED
    for _ in range(rng.randrange(3)):
        victim.live("recover", kill_at=rng.randrange(1, 25))
    victim.check()


def test_a_life_without_death_leaves_no_gap(victim):
    ended, changes = victim.live()
    assert ended == 0
    assert changes > 30, "the deaths below would be too few"
    assert len(victim.check()) == 16
    assert not victim.lake.rows("gaps")


def test_killed_before_some_changes_of_the_lake(victim):
    rng = _seed()
    victim.live()  # makes the directories: every later life changes the same names
    _, changes = victim.live()
    for point in sorted(rng.sample(range(1, changes), 8)):
        _killed_at(victim, point, rng)


def test_killed_at_some_moments(victim):
    rng = _seed()
    for _ in range(4):
        ended, _ = victim.live("long", kill_after_s=rng.uniform(0, 0.4))
        assert ended == KILLED
    victim.check()


def test_killed_at_some_moments_in_the_legacy_format_and_between_the_two(victim):
    rng = _seed()
    for form in (RawFormat.NDJSON, RawFormat.NDJSON, RawFormat.PARQUET, RawFormat.NDJSON):
        victim.lake.form = form
        ended, _ = victim.live("long", kill_after_s=rng.uniform(0, 0.4))
        assert ended == KILLED
        if rng.random() < 0.5:
            victim.live("recover", kill_at=rng.randrange(1, 40))
    victim.check()


def test_killed_before_some_changes_of_the_lake_in_the_legacy_format(victim):
    rng = _seed()
    victim.lake.form = RawFormat.NDJSON
    victim.live()  # makes the directories: every later life changes the same names
    _, changes = victim.live()
    for point in sorted(rng.sample(range(1, changes), 4)):
        _killed_at(victim, point, rng)


@pytest.mark.slow
def test_killed_before_every_change_of_the_lake(victim):
    rng = _seed()
    victim.live()  # makes the directories: every later life changes the same names
    _, changes = victim.live()
    for point in range(1, changes):
        _killed_at(victim, point, rng)


@pytest.mark.slow
def test_killed_at_a_hundred_moments(victim):
    rng = _seed()
    for _ in range(100):
        ended, _ = victim.live("long", kill_after_s=rng.uniform(0, 0.4))
        assert ended == KILLED
        if rng.random() < 0.3:
            victim.live("recover", kill_at=rng.randrange(1, 40))
    victim.check()
