"""Marks are written, read and settled by several runs at a time, each for partitions of its own."""

from concurrent.futures import ThreadPoolExecutor

from support.market import DAY

from fluxforge_assets.lake.marks import GOLD, mark, marks, settle


def test_a_date_that_several_mark_at_once_is_marked(lake):
    """Two workers that replace partitions of one date have nothing to wait for each other."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: mark(lake, "ccxt", DAY, of=GOLD), range(100)))
    assert [(known.source, known.date, known.is_dirty) for known in marks(lake, GOLD)] == [("ccxt", DAY, True)]
    assert [path.name for path in (lake.state / GOLD).iterdir()] == [f"ccxt.{DAY}"]


def test_one_that_is_settled_while_others_look_is_gone_for_them(lake):
    def look(_):
        return len(marks(lake))

    def turn(_):
        mark(lake, "ccxt", DAY)
        for known in marks(lake):
            settle(lake, known, is_complete=True)

    with ThreadPoolExecutor(4) as pool:
        turns, looks = pool.map(turn, range(50)), pool.map(look, range(500))
        assert len(list(turns)) == 50
        assert set(looks) <= {0, 1}
    assert not marks(lake)
