import pytest

from fluxforge_collector.errors import DataError
from fluxforge_collector.records import Channel, GapReason, GapRecord
from fluxforge_collector.segments.columns import Columns, journal_schema, time_us


def test_levels_become_structs_by_value(lake):
    columns = Columns(Channel.ORDERBOOK)
    bids = [101.0, 1.0, 100.0, 2.0]
    columns.append(lake.book(bids=bids, asks=[]))
    bids[0] = 0.0
    columns.append(lake.book(bids=[], asks=[102.0, 3.0]))
    batch = columns.to_batch()
    assert batch["bids"].to_pylist() == [[{"price": 101.0, "size": 1.0}, {"price": 100.0, "size": 2.0}], []]
    assert batch["asks"].to_pylist() == [[], [{"price": 102.0, "size": 3.0}]]
    batch.validate(full=True)


@pytest.mark.parametrize("bad", [{"bids": [1.0]}, {"asks": [1.0, None]}, {"asks": [1.0, "2"]}, {"bids": None}])
def test_a_record_whose_levels_are_no_floats_leaves_the_columns_as_they_were(lake, bad):
    columns, twin = Columns(Channel.ORDERBOOK), Columns(Channel.ORDERBOOK)
    good = [lake.book(levels=3), lake.book(levels=2)]
    columns.append(good[0])
    with pytest.raises(DataError, match="BTC/USDT"):
        columns.append(lake.book(levels=3)._replace(**bad))
    columns.append(good[1])
    for record in good:
        twin.append(record)
    assert columns.to_batch().equals(twin.to_batch())


@pytest.mark.parametrize(
    ("field", "column", "bad", "kept"),
    [
        ("nonce", "nonce", 1 << 70, None),
        ("timestamp_ms", "timestamp", "soon", None),
    ],
)
def test_a_value_its_column_cannot_hold_is_null_alone(lake, field, column, bad, kept):
    columns = Columns(Channel.ORDERBOOK)
    for record in (lake.book(), lake.book(**{field: bad})):
        columns.append(record)
    values = columns.to_batch()[column].to_pylist()
    assert values[1] is kept
    assert values[0] is not None


def test_text_that_is_no_unicode_is_escaped(lake):
    columns = Columns(Channel.TRADES)
    columns.append(lake.trade(trade_id="a\ud800"))
    assert columns.to_batch()["trade_id"].to_pylist() == ["a\\ud800"]


@pytest.mark.parametrize("channel", [Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER, Channel.GAPS])
def test_no_rows_are_a_batch_too(channel):
    assert Columns(channel).to_batch().schema.equals(journal_schema(channel), check_metadata=True)


def test_a_gap_belongs_where_it_ends(lake):
    gap = GapRecord("x", "A/B", "all", 5, 9, GapReason.STALE, None, None, 0)
    assert (time_us(gap), time_us(lake.book(at=7))) == (9, 7)
