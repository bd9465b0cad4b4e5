"""Failures in a row are counted by several runs at a time, each for partitions of its own; none is lost or comes back."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from support.market import DAY

from fluxforge_assets.lake.tries import Try, count_failure, forget, forget_all, tries
from fluxforge_collector.errors import DataError


def test_failures_that_several_count_at_once_are_all_told(lake):
    def count(number):
        return [count_failure(lake, "ccxt", DAY, f"n{number}", f"why {time}") for time in range(1, 11)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(4))) == [list(range(1, 11))] * 4
    assert tries(lake, "ccxt", DAY) == {f"n{number}": Try(10, "why 10") for number in range(4)}
    assert tries(lake, "ccxt", "2026-11-21") == tries(lake, "coinbase", DAY) == {}


def test_one_that_succeeds_stays_forgotten_while_others_fail(lake):
    """A backfill materialises what real time had set aside, and real time counts others meanwhile."""
    rounds = 50
    both = Barrier(2)

    def backfill():
        for number in range(rounds):
            count_failure(lake, "ccxt", DAY, f"done{number}", "why")
            both.wait()
            forget(lake, "ccxt", DAY, f"done{number}")

    def real_time():
        for _ in range(rounds):
            both.wait()
            count_failure(lake, "ccxt", DAY, "silver/ticker okx:BTC-USDT", "why")

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(backfill), pool.submit(real_time)]:
            task.result()
    assert tries(lake, "ccxt", DAY) == {"silver/ticker okx:BTC-USDT": Try(rounds, "why")}
    forget_all(lake, "ccxt", DAY)
    assert tries(lake, "ccxt", DAY) == {}


def test_a_name_may_be_longer_than_a_file_s(lake):
    name = f"silver/orderbook okx:{'A' * 240}"
    assert count_failure(lake, "ccxt", DAY, name, "why") == 1
    assert list(tries(lake, "ccxt", DAY)) == [name]


def test_a_broken_file_is_named(lake):
    count_failure(lake, "ccxt", DAY, "n", "why")
    (path,) = (lake.state / "tries").iterdir()
    path.write_text("[]")
    with pytest.raises(DataError, match=f"{path.name} cannot be read.*delete it"):
        tries(lake, "ccxt", DAY)
