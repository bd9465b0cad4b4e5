"""Checksums over the text of levels: by hand, by the exchanges' own documents, and on what exchanges really sent."""

import re
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.sequence.checksums import (
    TextBook,
    TextSide,
    kraken_checksum,
    kraken_form,
    okx_checksum,
    okx_form,
)

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "cryptofeed_captures"


@pytest.fixture
def captures():
    """The folder of whole recorded sessions."""
    if not CAPTURES.is_dir():
        pytest.skip("the recordings are not beside the project")
    return CAPTURES


@pytest.mark.parametrize(
    ("price", "size", "text"),
    [
        ("45285.2", "0.00100000", "452852100000"),
        ("0.05005", "0.00000500", "5005500"),
        ("5541.30000", "2.50700000", "554130000250700000"),
        ("100", "5", "1005"),
    ],
)
def test_kraken_counts_digits_without_point_and_leading_zeros(price, size, text):
    assert kraken_form(price, size) == text


def test_kraken_s_own_example():
    """Kraken's guide to its book checksums: ten asks, ten bids, and the sum it names."""
    asks = ["05005", "05010", "05015", "05020", "05025", "05030", "05035", "05040", "05045", "05050"]
    bids = ["05000", "04995", "04990", "04980", "04975", "04970", "04965", "04960", "04955", "04950"]
    book = TextBook(10, kraken_form)
    book.asks.apply([(f"0.{price}", "0.00000500") for price in reversed(asks)])
    book.bids.apply([(f"0.{price}", "0.00000500") for price in bids])
    assert kraken_checksum(book) == 974947235


@pytest.mark.parametrize(
    ("bids", "asks", "text"),
    [
        ([("3366.1", "7")], [("3366.8", "9"), ("3368", "8")], "3366.1:7:3366.8:9:3368:8"),
        ([("3366.1", "7"), ("3366", "6")], [("3366.8", "9")], "3366.1:7:3366.8:9:3366:6"),
        ([], [], ""),
    ],
)
def test_okx_takes_bid_and_ask_in_turn(bids, asks, text):
    """The examples of OKX's documentation."""
    book = TextBook(400, okx_form)
    book.bids.apply(bids)
    book.asks.apply(asks)
    assert okx_checksum(book) % (1 << 32) == zlib.crc32(text.encode())
    assert -(1 << 31) <= okx_checksum(book) < 1 << 31


def test_levels_are_set_deleted_and_cut():
    side = TextSide(-1, 2, okx_form)
    side.apply([("1.0", "5"), ("3.0", "5"), ("2.0", "5")])
    assert side.top(9) == ["3.0:5", "2.0:5"]
    side.apply([("3.00", "0"), ("7", "0.0"), ("2.0", "6")])
    assert side.top(9) == ["2.0:6"]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), max_size=60), st.integers(1, 6), st.sampled_from([-1, 1])
)
def test_a_side_is_what_sorting_all_of_it_gives(changes, depth, sign):
    side, twin = TextSide(sign, depth, okx_form), {}
    for price, size in changes:
        side.apply([(str(price), str(size))])
        twin[price] = size
        twin = {p: s for p, s in twin.items() if s}
        twin = dict(sorted(twin.items(), key=lambda level: level[0] * sign)[:depth])
    assert side.top(depth) == [f"{p}:{s}" for p, s in twin.items()]


@pytest.mark.real_data
def test_every_checksum_okx_sent_holds(captures):
    books, held = {}, 0
    for text in _received(captures / "OKX.ws.1.0"):
        message = orjson.loads(text)
        if message.get("arg", {}).get("channel") != "books" or "action" not in message:
            continue
        market = message["arg"]["instId"]
        if message["action"] == "snapshot":
            books[market] = TextBook(400, okx_form)
        for data in message["data"]:
            for side, name in ((books[market].bids, "bids"), (books[market].asks, "asks")):
                side.apply([(level[0], level[1]) for level in data[name]])
            assert okx_checksum(books[market]) == data["checksum"]
            held += 1
    assert held == 290


@pytest.mark.real_data
def test_every_checksum_kraken_sent_holds(captures):
    """The first version of its protocol, where prices and sizes are strings already."""
    books, held = {}, 0
    for text in _received(captures / "KRAKEN.ws.50.0"):
        message = orjson.loads(text)
        if not isinstance(message, list):
            continue
        *parts, _, pair = message[1:]
        changes = {key: value for part in parts for key, value in part.items()}
        if "as" in changes:
            books[pair] = TextBook(1000, kraken_form)
        book = books[pair]
        for side, names in ((book.bids, ("bs", "b")), (book.asks, ("as", "a"))):
            side.apply([(level[0], level[1]) for name in names for level in changes.get(name, ())])
        if "c" in changes:
            assert kraken_checksum(book) == int(changes["c"])
            held += 1
    assert held == 4269


def _received(file):
    for line in file.read_text().splitlines():
        found = re.match(r"\d+\.\d+: (.*)", line)
        if found:
            yield found[1]
