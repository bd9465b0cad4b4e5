"""The legacy format holds the same values as Parquet, whatever they are, and every line is JSON to anybody."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import FIELD, maybe

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.errors import DataError
from fluxforge_collector.records import BookRecord, Channel, GapRecord, TickerRecord, TradeRecord
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.columns import RECORDS, Columns, journal_schema
from fluxforge_collector.segments.manifest import verify_file
from fluxforge_collector.segments.ndjson import from_lines, to_lines
from fluxforge_collector.segments.seal import seal_channel
from fluxforge_collector.segments.sealed import count_rows, read_rows, read_table

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
ANY_LEVELS = st.lists(st.tuples(ANY_FLOAT, ANY_FLOAT), max_size=4).map(lambda ls: [v for level in ls for v in level])
ANY_FIELD = FIELD | {"bids": ANY_LEVELS, "asks": ANY_LEVELS, "price": ANY_FLOAT, "amount": ANY_FLOAT}


def _batches(kind):
    values = [ANY_FIELD.get(field, maybe(ANY_FLOAT)) for field in kind._fields]
    return st.lists(st.builds(kind, *values), min_size=1, max_size=20).map(lambda records: _batch(kind, records))


def _batch(kind, records):
    columns = Columns(RECORDS[kind])
    for record in records:
        columns.append(record)
    return columns.to_batch()


def _no_constant(name):
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("kind", [BookRecord, TradeRecord, TickerRecord, GapRecord])
def test_both_formats_hold_the_same_values(kind, tmp_path_factory):
    @settings(max_examples=30)
    @given(_batches(kind))
    def check(batch):
        folder, channel = tmp_path_factory.mktemp("sealed"), RECORDS[kind]
        lines = to_lines(batch).splitlines(keepends=True)
        assert all(list(json.loads(line, parse_constant=_no_constant)) == batch.schema.names for line in lines)
        # repr: NaN equals nothing, and -0.0 equals 0.0
        assert repr(from_lines(lines, batch.schema).to_pylist()) == repr(batch.to_pylist())
        files = [folder / "s.parquet", folder / "s.ndjson.zst"]
        for file in files:
            entry = seal_channel(channel, [batch], file, Ingestion())
            verify_file(file, entry)
            assert count_rows(file) == batch.num_rows
        parquet, ndjson = (read_table(file, plain_schema(channel)) for file in files)
        assert ndjson.schema == parquet.schema
        assert repr(ndjson.to_pylist()) == repr(parquet.to_pylist())

    check()


def test_a_line_is_what_the_contract_says(lake):
    at = 1_723_118_400_123_456
    book = lake.book(at=at, bids=[1.5, 2.0, 1.25, 3.0], asks=[float("nan"), 1.0], nonce=None)
    assert to_lines(_batch(BookRecord, [book])) == (
        b'{"collected_at":1723118400123,"capture_ts":"2024-08-08T12:00:00.123456Z","exchange":"binanceus",'
        b'"symbol":"BTC/USDT","timestamp":1723118400123,"nonce":null,"bids":[[1.5,2.0],[1.25,3.0]],'
        b'"asks":[["NaN",1.0]],"seq":0,"conn":1}\n'
    )


def test_many_rows_are_read_in_the_order_of_the_file(lake, tmp_path):
    file = tmp_path / "s.ndjson.zst"
    rows = [lake.trade(at=lake.clock.now_us + i, price=float(i)) for i in range(10_001)]
    seal_channel(Channel.TRADES, [_batch(TradeRecord, rows)], file, Ingestion())
    prices = pa.Table.from_batches(read_rows(file, plain_schema(Channel.TRADES, ["price", "seq"])))
    assert prices["price"].to_pylist() == [float(i) for i in range(10_001)]


GOOD = {
    "exchange": "x", "symbol": "a/b", "channel": "all", "gap_start": "2024-08-08T12:00:00Z", "reason": "crash",
    "gap_end": "2024-08-08T12:00:01Z", "lost": None, "detail": None, "seq": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"seq": None}, "seq is null", id="null"),
        pytest.param({"seq": 1.5}, "cannot be read", id="a fraction"),
        pytest.param({"seq": "1"}, "cannot be read", id="text for a number"),
        pytest.param({"lost": 1 << 63}, "cannot be read", id="too large"),
        pytest.param({"gap_start": "yesterday"}, "cannot be read", id="no time"),
        pytest.param({"exchange": 7}, "cannot be read", id="number for text"),
    ],
)
def test_a_value_that_no_column_holds_is_refused(change, what):
    schema = journal_schema(Channel.GAPS)
    assert from_lines([json.dumps(GOOD).encode()], schema).num_rows == 1
    with pytest.raises(DataError, match=what):
        from_lines([json.dumps(GOOD | change).encode()], schema)


@pytest.mark.parametrize("line", [b"", b"[]", b"7", b"{}", b'{"exchange":"x"', b"\x00" * 9, b'"text"'])
def test_what_is_no_row_is_refused(line):
    with pytest.raises(DataError):
        from_lines([line], journal_schema(Channel.GAPS))


@pytest.mark.parametrize("level", [[1.0], [1.0, 2.0, 3.0], 1.0, [None, 1.0], ["a", 1.0], None])
def test_a_level_that_is_no_pair_is_refused(lake, level):
    row = json.loads(to_lines(_batch(BookRecord, [lake.book()])))
    with pytest.raises(DataError):
        from_lines([json.dumps(row | {"bids": [level]}).encode()], journal_schema(Channel.ORDERBOOK))
