"""Bronze rows in every form the contract allows give the same silver."""

import polars as pl
import pyarrow as pa
import pytest
from support.dirty import book_frame, dirty
from support.tables import assert_identical

from fluxforge_assets.features.silver import compute_silver
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError
from fluxforge_collector.schemas import LEVELS

OPTIONS = FeatureOptions(families="all", horizons=(1, 5), max_gap=10)
NAME = pa.dictionary(pa.int32(), pa.string())


@pytest.fixture(scope="module")
def frames():
    """Book, trades and gaps; the book without null levels and sides, which the collector's schema forbids."""
    bronze = dirty(401, OPTIONS, events=500)

    def side(levels):
        return [(p, q) for p, q in levels or [] if p is not None and q is not None]

    book = [row | {"bids": side(row["bids"]), "asks": side(row["asks"])} for row in bronze.book]
    return book_frame(book), *bronze._replace(trades=[t for t in bronze.trades if t["price"] and t["amount"]]).frames()[
        1:
    ]


def cast(frame, types):
    """The frame as an Arrow table with some columns in other types."""
    table = frame.to_arrow()
    for name, dtype in types.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, pa.field(name, dtype), table[name].cast(dtype))
    return table


def collected(frames):
    """As the collector's files hold them."""
    capture = pa.timestamp("us", tz="UTC")
    names = {"exchange": NAME, "symbol": NAME}
    book, trades, gaps = frames
    return (
        cast(book, names | {"capture_ts": capture, "bids": LEVELS, "asks": LEVELS}),
        cast(trades, names | {"capture_ts": capture, "side": NAME}),
        cast(gaps, names | {"channel": NAME, "gap_start": capture, "gap_end": capture}),
    )


def renamed(frames):
    """Under the catalogue's names."""
    return frames[0].rename({"timestamp": "exchange_ts"}), frames[1].rename({"timestamp": "exchange_ts"}), frames[2]


def unnumbered(frames):
    """Without `seq`: the position of the row is its order."""
    return frames[0].drop("seq"), frames[1].drop("seq"), frames[2]


def categorical(frames):
    """Names as categories and times as datetimes, as a polars user would hold them."""
    at = pl.from_epoch("capture_ts", time_unit="us")
    names = pl.col("exchange", "symbol").cast(pl.Categorical)
    return frames[0].with_columns(at, names), frames[1].with_columns(at, names), frames[2]


@pytest.mark.parametrize("form", [collected, renamed, unnumbered, categorical])
def test_the_form_of_the_input_changes_nothing(frames, form):
    assert_identical(compute_silver(*form(frames), options=OPTIONS), compute_silver(*frames, options=OPTIONS))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda book: book.drop("bids"), "bids"),
        (lambda book: book.with_columns(capture_ts=pl.lit("noon")), "capture_ts"),
        (lambda book: book.with_columns(capture_ts=pl.lit(None, pl.Int64)), "null"),
        (
            lambda book: book.with_columns(symbol=pl.Series(["A", "B"] * (book.height // 2 + 1)).head(book.height)),
            "symbol",
        ),
        (lambda book: book.with_columns(bids=pl.lit(1.0)), "bids"),
    ],
    ids=["no bids", "time as text", "null time", "two symbols", "no levels"],
)
def test_what_is_not_bronze_is_refused_by_name(frames, spoil, message):
    book, trades, gaps = frames
    with pytest.raises(DataError, match=message):
        compute_silver(spoil(book), trades, gaps, options=OPTIONS)
