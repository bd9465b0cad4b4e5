import pyarrow as pa
import pytest

from fluxforge_collector.records import BookRecord, Channel, GapRecord, TickerRecord, TradeRecord
from fluxforge_collector.schemas import BRONZE, LEVELS, SCHEMA_VERSION

NULLABLE = {
    Channel.ORDERBOOK: {"timestamp", "nonce"},
    Channel.TRADES: {"trade_id", "timestamp", "side", "cost", "info_json"},
    Channel.GAPS: {"lost", "detail"},
    Channel.FRAMES: set(),
}


def test_every_channel_has_a_schema_that_names_its_version():
    assert list(BRONZE) == list(Channel)
    assert {s.metadata[b"fluxforge.schema_version"] for s in BRONZE.values()} == {SCHEMA_VERSION.encode()}


@pytest.mark.parametrize("channel", NULLABLE)
def test_only_what_may_be_missing_may_be_null(channel):
    assert {field.name for field in BRONZE[channel] if field.nullable} == NULLABLE[channel]


def test_levels_have_no_nulls_within():
    assert not LEVELS.value_field.nullable
    assert not any(field.nullable for field in LEVELS.value_type)
    assert [field.name for field in LEVELS.value_type] == ["price", "size"]


@pytest.mark.parametrize(
    ("channel", "record"),
    [
        (Channel.ORDERBOOK, BookRecord),
        (Channel.TRADES, TradeRecord),
        (Channel.TICKER, TickerRecord),
        (Channel.GAPS, GapRecord),
    ],
)
def test_a_record_has_a_field_for_every_column(channel, record):
    assert len(record._fields) == len(BRONZE[channel])


def test_capture_times_are_microseconds_in_utc():
    assert BRONZE[Channel.ORDERBOOK].field("capture_ts").type == pa.timestamp("us", tz="UTC")
