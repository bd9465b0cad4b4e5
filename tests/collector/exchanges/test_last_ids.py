"""The ids of the last trades: as a list of them would have it, in a piece of memory that stays as large."""

import sys
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.exchanges.last_ids import LastIds


def memory_of(ids):
    return sys.getsizeof(ids._words)


def test_no_id_is_known_before_the_first_nor_the_empty_one():
    assert "" not in LastIds()
    assert "" not in LastIds(["7"])
    assert "" in LastIds([""])


def test_what_is_forgotten_leaves_the_others():
    ids = LastIds(["1", "2", "3"])
    ids.discard("2")
    ids.discard("4")
    assert [name for name in "1234" if name in ids] == ["1", "3"]


def test_a_copy_goes_its_own_way():
    ids = LastIds(["1"])
    other = ids.copy()
    other.add("2")
    ids.add("3")
    assert [name for name in "123" if name in ids] == ["1", "3"]
    assert [name for name in "123" if name in other] == ["1", "2"]


@given(st.lists(st.integers(0, 2000).map(str), max_size=1500))
def test_it_knows_the_last_five_hundred_whatever_comes(names):
    ids, last = LastIds(), deque(maxlen=500)
    for name in names:
        ids.add(name)
        last.append(name)
    assert all(name in ids for name in last)
    assert not any(name in ids for name in {*names} - {*last})


def test_its_memory_does_not_grow_with_what_comes():
    ids = LastIds(["1"])
    before = memory_of(ids)
    for number in range(2000):
        ids.add(str(number) * 4)
    assert memory_of(ids) == before < 5000


class Hashed(str):
    """A name with a hash of our choice: the number that it is."""

    __slots__ = ()

    def __hash__(self):
        return int(self)


def test_a_hash_that_lies_across_two_others_is_neither():
    first, second, across = Hashed(0x11111111 << 32), Hashed(0x22222222), Hashed(0x22222222 << 32 | 0x11111111)
    ids = LastIds([first, second])
    assert first in ids
    assert second in ids
    assert across not in ids
    ids.add(across)
    assert across in ids, "found behind the place where it lies across"
