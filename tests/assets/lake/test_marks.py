"""Marks are written, read and settled by several runs at a time, each for partitions of its own."""

from concurrent.futures import ThreadPoolExecutor

from support.market import DAY

from fluxforge_assets.lake.marks import GOLD, mark, mark_gold, marks, settle, settle_gold


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


def test_silver_that_changes_while_gold_is_settled_is_not_forgotten(lake):
    """A backfill marks a date with each partition; what it said last must be seen before it is settled."""
    dates = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 6)]

    def change():
        return [[mark_gold(lake, "ccxt", date) for _ in range(20)][-1] for date in dates]

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        while not changing.done() or marks(lake, GOLD):
            for known in marks(lake, GOLD):
                seen.add(known.token)
                settle_gold(lake, known)
        assert set(changing.result()) <= seen
