"""Bronze frames as arrays: every accepted form, every refusal."""

import datetime as dt

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fluxforge_assets.features.events import as_table, book_chunk, in_order, trade_chunk
from fluxforge_assets.features.silver import compute_silver, silver_frames
from fluxforge_assets.kernels.book_pass import MISSING
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

START_US = 1_760_000_000_000_000
LEVELS = pa.list_(pa.struct([("price", pa.float64()), ("size", pa.float64())]))


def book(rows=3, **columns):
    given = {
        "exchange": ["demo"] * rows,
        "symbol": ["AAA/USD"] * rows,
        "capture_ts": [START_US + 400_000 * i for i in range(rows)],
        "nonce": pa.array([1, None, 3][:rows], pa.int64()),
        "bids": pa.array(
            [[{"price": 100.0, "size": 1.0 + i}, {"price": 99.0, "size": 2.0}] for i in range(rows)], LEVELS
        ),
        "asks": pa.array([[{"price": 101.0, "size": 1.0}]] * rows, LEVELS),
    }
    return pa.table({name: value for name, value in (given | columns).items() if value is not None})


def trades(rows=2, **columns):
    given = {
        "exchange": ["demo"] * rows,
        "symbol": ["AAA/USD"] * rows,
        "capture_ts": [START_US + 300_000 + i for i in range(rows)],
        "side": ["buy", " SELL "][:rows],
        "price": [100.0] * rows,
        "amount": [1.0] * rows,
    }
    return pa.table({name: value for name, value in (given | columns).items() if value is not None})


def one(table):
    return table.combine_chunks().to_batches()[0]


def test_levels_are_views_of_the_arrow_buffers():
    batch = one(book())
    chunk = book_chunk(batch)
    address = batch["bids"].values.field("price").buffers()[1].address
    assert chunk.bid_price.ctypes.data == address
    assert chunk.bid_start.tolist() == [0, 2, 4]
    assert chunk.nonce.tolist() == [1, MISSING, 3]


def test_slices_nulls_and_null_levels_are_read_right():
    bids = pa.array([[{"price": 9.0, "size": 1.0}], None, [None, {"price": None, "size": 2.0}], []], LEVELS)
    table = book(4, bids=bids, nonce=None).slice(1)
    chunk = book_chunk(one(table))
    sizes = (chunk.bid_stop - chunk.bid_start).tolist()
    assert sizes == [0, 2, 0]
    first = chunk.bid_start[1]
    assert np.isnan(chunk.bid_price[first : first + 2]).all()
    assert np.isnan(chunk.bid_size[first])
    assert (chunk.nonce == MISSING).all()


@pytest.mark.parametrize(
    "ts",
    [
        pytest.param(pa.array([START_US + i for i in range(3)]), id="int64 µs"),
        pytest.param(pa.array([START_US + i for i in range(3)]).cast(pa.timestamp("us", "UTC")), id="timestamp us"),
        pytest.param(pa.array([(START_US + i) * 1000 for i in range(3)]).cast(pa.timestamp("ns")), id="timestamp ns"),
    ],
)
def test_capture_times_may_be_integers_or_timestamps(ts):
    assert book_chunk(one(book(capture_ts=ts))).ts.tolist() == [START_US, START_US + 1, START_US + 2]


def test_exchange_times_come_under_either_name_and_as_timestamps():
    at = pa.array([dt.datetime(2025, 10, 9, tzinfo=dt.UTC), None, None], pa.timestamp("us", "UTC"))
    assert book_chunk(one(book(timestamp=at))).exchange_ms.tolist() == [1_759_968_000_000, MISSING, MISSING]
    assert book_chunk(one(book(exchange_ts=[5, 6, None]))).exchange_ms.tolist() == [5, 6, MISSING]


@pytest.mark.parametrize("encode", [False, True])
def test_sides_are_trimmed_and_lowered(encode):
    side = pa.array([" Buy", "SELL", None, "maker", ""])
    table = trades(5, side=side.dictionary_encode() if encode else side)
    assert trade_chunk(one(table)).sign.tolist() == [1, -1, 0, 0, 0]


def test_polars_and_arrow_frames_give_the_same_rows():
    options = FeatureOptions(families="all")
    arrow = compute_silver(book(), trades(), options=options)
    polars = compute_silver(pl.from_arrow(book()), pl.from_arrow(trades()), options=options)
    assert arrow.equals(polars)
    assert arrow["n_trade"].to_list() == [2]


def test_rows_out_of_order_are_sorted_by_time_and_arrival():
    table = book(seq=[7, 8, 9], capture_ts=[START_US, START_US, START_US + 1])
    shuffled = table.take(pa.array([2, 1, 0]))
    assert in_order(shuffled, "book").equals(table)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"book": "text"}, "not a frame", id="no frame"),
        pytest.param({"book": book(bids=None)}, "no column bids", id="column missing"),
        pytest.param({"book": book(bids=[[[1.0, 2.0]]] * 3)}, "struct<price, size>", id="levels as pairs"),
        pytest.param({"book": book(capture_ts=[1.5, 2.5, 3.5])}, "is no time", id="time as float"),
        pytest.param({"book": book(capture_ts=pa.array([1, None, 3]))}, "null", id="time null"),
        pytest.param({"book": book(symbol=["A/B", "C/D", "A/B"])}, "values of symbol", id="several symbols"),
        pytest.param({"book": book(exchange=pa.array([None] * 3, pa.string()))}, "null", id="exchange null"),
        pytest.param({"book": book(), "trades": trades(symbol=["X/Y"] * 2)}, "one instrument", id="trades of another"),
        pytest.param({"book": book(), "trades": trades(price=["1", "2"])}, "not a number", id="price as text"),
        pytest.param({"book": book(nonce=["a", "b", "c"])}, "integer", id="nonce as text"),
        pytest.param(
            {"book": book(capture_ts=[START_US, START_US + 5, START_US], seq=[1, 2, 1])},
            "share",
            id="equal keys unsorted",
        ),
        pytest.param(
            {"book": book(), "gaps": pa.table({"channel": ["all"], "gap_start": [5], "gap_end": [4]})},
            "ends before it starts",
            id="gap backwards",
        ),
        pytest.param({"book": book(), "gaps": pa.table({"channel": ["all"]})}, "no column gap_start", id="gap columns"),
    ],
)
def test_what_is_not_bronze_is_refused_with_a_remedy(given, words):
    with pytest.raises(DataError, match=words) as caught:
        compute_silver(**given)
    assert caught.value.remedy


def test_a_stream_out_of_order_is_refused():
    batches = [one(book()), one(book())]
    with pytest.raises(DataError, match="not ascending"):
        list(silver_frames(batches, None, None, options=FeatureOptions()))


def test_a_frame_stays_the_frame_it_was():
    table = book()
    assert as_table(table, "book") is table
