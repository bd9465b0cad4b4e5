import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.values import FIELD, FLOAT, maybe

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.records import BookRecord, Channel, GapRecord, TickerRecord, TradeRecord
from fluxforge_collector.schemas import BRONZE
from fluxforge_collector.segments.columns import FIELDS, RECORDS, Columns, journal_schema
from fluxforge_collector.segments.journal import Journal, JournalReader
from fluxforge_collector.segments.seal import ROW_GROUP_ROWS, seal_channel


def _records(kind):
    values = [FIELD.get(field, maybe(FLOAT)) for field in kind._fields]
    return st.lists(st.builds(kind, *values), min_size=1, max_size=40)


def _row(record):
    """What a reader should see of a record: the obvious twin of columns, journal and file."""
    columns = {field: column for column, field in FIELDS.items()}
    row = {
        columns.get(field, field): str(value) if field == "reason" else value
        for field, value in record._asdict().items()
    }
    for side in ("bids", "asks"):
        if side in row:
            flat = row[side]
            row[side] = [{"price": p, "size": s} for p, s in zip(flat[::2], flat[1::2], strict=True)]
    return row


def _seal(tmp_path, channel, records, flush=7):
    journal = Journal(tmp_path / "j.arrow", journal_schema(channel))
    for start in range(0, len(records), flush):
        columns = Columns(channel)
        for record in records[start : start + flush]:
            columns.append(record)
        journal.append(columns.to_batch())
    journal.close()
    with JournalReader(tmp_path / "j.arrow") as reader:
        return seal_channel(channel, reader, tmp_path / "s.parquet", Ingestion())


@pytest.mark.parametrize("kind", [BookRecord, TradeRecord, TickerRecord, GapRecord])
def test_records_come_back_by_value_in_the_order_of_the_file(kind, tmp_path_factory):
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(_records(kind))
    def check(records):
        tmp_path, channel = tmp_path_factory.mktemp("seal"), RECORDS[kind]
        entry = _seal(tmp_path, channel, records)
        table = pq.read_table(tmp_path / "s.parquet", partitioning=None)
        assert table.schema.equals(BRONZE[channel], check_metadata=True)
        time = "gap_start" if kind is GapRecord else "capture_ts"
        plain = table.set_column(table.column_names.index(time), time, table[time].cast(pa.int64()))
        if kind is GapRecord:
            at = plain.column_names.index("gap_end")
            plain = plain.set_column(at, "gap_end", plain["gap_end"].cast(pa.int64()))
        wanted = sorted((_row(r) for r in records), key=lambda r: (r["exchange"], r["symbol"], r[time], r["seq"]))
        found = plain.to_pylist()
        keys = [(r["exchange"], r["symbol"], r[time], r["seq"]) for r in found]
        assert keys == sorted(keys)
        assert sorted(map(repr, found)) == sorted(repr({c: r[c] for c in found[0]}) for r in wanted)
        assert entry.rows == len(records)

    check()


def _books(lake, count, symbols, seed):
    rng = random.Random(seed)
    records = []
    for _ in range(count):
        lake.clock.advance(0.001)
        records.append(lake.book(rng.choice(symbols), levels=rng.randrange(3)))
    return records


def test_the_layout_is_the_contracts(lake, tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    _seal(tmp_path, Channel.ORDERBOOK, _books(lake, 3_000, symbols, seed), flush=500)
    file = pq.ParquetFile(tmp_path / "s.parquet")
    assert file.metadata.metadata[b"fluxforge.schema_version"] == b"1"
    assert file.metadata.num_row_groups == 3
    element = file.schema_arrow.field("bids").type.value_field
    assert not element.nullable
    assert not any(field.nullable for field in element.type)
    for group in range(3):
        columns = [file.metadata.row_group(group).column(i) for i in range(file.metadata.num_columns)]
        by_path = {column.path_in_schema: column for column in columns}
        symbol = by_path["symbol"].statistics
        assert symbol.min == symbol.max, "a row group holds one instrument"
        for path, column in by_path.items():
            assert column.compression == "ZSTD"
            assert column.is_stats_set
            if path in {"exchange", "symbol"}:
                assert column.has_dictionary_page
            else:
                assert not column.has_dictionary_page
            if path.startswith(("bids", "asks")):
                assert "PLAIN" in column.encodings
            elif path not in {"exchange", "symbol"}:
                assert "DELTA_BINARY_PACKED" in column.encodings
    # Pages of version 2 would keep the levels outside the codec; their headers name themselves.
    assert _page_types(tmp_path / "s.parquet") == {0, 2}


def _page_types(path):
    """The types of all pages, read from their Thrift headers: 0 data page v1, 2 dictionary page, 3 data page v2."""
    data, found = path.read_bytes(), set()
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            for at in {column.data_page_offset, column.dictionary_page_offset} - {None}:
                assert data[at] == 0x15, "field 1 of the header, an i32"
                found.add(data[at + 1] >> 1)
    return found


def test_row_groups_are_full_but_for_the_last_of_an_instrument(lake, tmp_path):
    rows = 2 * ROW_GROUP_ROWS + 5
    records = [lake.trade("A/B" if i % 3 else "C/D", at=lake.clock.now_us + i) for i in range(rows)]
    _seal(tmp_path, Channel.TRADES, records, flush=1000)
    metadata = pq.read_metadata(tmp_path / "s.parquet")
    of_a = sum(r.symbol == "A/B" for r in records)
    assert [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)] == [
        ROW_GROUP_ROWS,
        of_a - ROW_GROUP_ROWS,
        rows - of_a,
    ]


def test_many_chunks_out_of_order_are_sorted_all_the_same(lake, tmp_path):
    """More than is held unpacked, instruments coming and going, one instrument's capture times running backwards."""
    now, count = lake.clock.now_us, 80_000
    text = "x" * 1500
    records = [
        lake.trade("BACK/X", at=now + count - i, info_json=text)
        if i % 4 == 0
        else lake.trade(f"S{i * 8 // count}/X", at=now + i, info_json=text)
        for i in range(count)
    ]
    entry = _seal(tmp_path, Channel.TRADES, records, flush=5_000)
    table = pq.read_table(tmp_path / "s.parquet", partitioning=None, columns=["symbol", "capture_ts", "seq"])
    keys = list(zip(table["symbol"].to_pylist(), table["capture_ts"].cast(pa.int64()).to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert sorted(table["seq"].to_pylist()) == sorted(r.seq for r in records)
    back = entry.instruments["binanceus:BACK-X"]
    assert (back.first_us, back.last_us) == (now + 4, now + count)
    for group in range(pq.read_metadata(tmp_path / "s.parquet").num_row_groups):
        assert pq.read_metadata(tmp_path / "s.parquet").row_group(group).num_rows <= ROW_GROUP_ROWS


def test_a_large_segment_of_many_instruments_takes_little_memory(lake, tmp_path):
    """Sixty thousand deep books of a hundred instruments are 100 MB as they are."""
    columns = Columns(Channel.ORDERBOOK)
    for index in range(1000):
        columns.append(lake.book(f"S{index % 100}/USD", levels=50, seq=index))
    one, place = columns.to_batch(), columns.to_batch().schema.get_field_index("seq")

    def batches():
        for number in range(60):
            seq = pa.array(range(number * 1000, number * 1000 + 1000))
            yield one.set_column(place, one.schema.field(place), seq)

    before, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        entry = seal_channel(Channel.ORDERBOOK, batches(), tmp_path / "segment.parquet", Ingestion())
    finally:
        pa.set_memory_pool(before)
    assert (entry.rows, len(entry.instruments)) == (60_000, 100)
    assert counted.max_memory() < 80 << 20
    for symbol in ("S0/USD", "S99/USD"):
        rows = pq.read_table(tmp_path / "segment.parquet", filters=[("symbol", "=", symbol)])["seq"].to_pylist()
        assert rows == list(range(int(symbol[1:-4]), 60_000, 100))


def test_no_rows_make_no_file(tmp_path):
    entry = seal_channel(Channel.TRADES, [], tmp_path / "s.parquet", Ingestion())
    assert (entry.rows, entry.file, list(tmp_path.iterdir())) == (0, None, [])
