"""Recordings of Binance spot streams: reading and checking them, frame by frame. Playing them is elsewhere.

A recording is text, plain or gzipped: lines `<receive time, ns> <frame>`, where a frame is the combined-stream form
`{"stream": …, "data": …}` and the REST depth snapshot stands inline as a line without `stream`.
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from fluxforge_collector.errors import DataError
from fluxforge_collector.simulator.binance import stream_topic
from fluxforge_collector.simulator.book import Book
from fluxforge_collector.simulator.listing import Listing
from fluxforge_collector.simulator.wire import Frame, Quote, Topic

DIGITS = 8  # Binance writes every price and size with eight decimals
_STREAM = '{"stream":"'
_DATA = '","data":'
_QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "TRY", "BTC", "ETH", "BNB")


class RecordedFrame(NamedTuple):
    """One frame of a recording; `text` is the raw-stream form, verbatim."""

    recorded_us: int
    topic: Topic
    text: str


class Recording(NamedTuple):
    """What recordings hold: the listing and first depth snapshot of each market, and when they begin."""

    paths: tuple[Path, ...]
    listings: dict[str, Listing]
    snapshots: dict[str, str]
    first_us: int
    frames: int


def scan(paths: tuple[Path, ...]) -> Recording:
    """Read recordings once, checking every line. Raises: DataError naming the file and line that cannot be played."""
    snapshots: dict[str, str] = {}
    markets: dict[str, int] = {}
    count = 0
    for path in paths:
        pending: list[str] = []
        market = None
        for recorded_us, text in _lines(path):
            if not text.startswith(_STREAM):
                pending.append(text)
                continue
            market = _frame(recorded_us, text).topic.market
            markets[market] = min(recorded_us, markets.get(market, recorded_us))
            count += 1
        if market is None:
            raise DataError(f"{path} holds no frames", "give a recording of Binance spot streams")
        # a file holds one market, so its inline snapshots are that market's
        for snapshot in pending[:1]:
            snapshots.setdefault(market, snapshot)
    listings = {market: _listing(market, snapshots.get(market)) for market in sorted(markets)}
    return Recording(paths, listings, snapshots, min(markets.values()), count)


def frames_of(recording: Recording) -> Iterator[RecordedFrame]:
    """All frames of all files in the order received."""
    yield from heapq.merge(*(_frames(path) for path in recording.paths), key=lambda frame: frame.recorded_us)


def book_of(snapshot: str) -> Book:
    """The book a REST depth snapshot describes, in units of 10^-8."""
    body = orjson.loads(snapshot)
    book = Book()
    for price, size in body["bids"]:
        book.bids.set(units(price), units(size))
    for price, size in body["asks"]:
        book.asks.set(units(price), units(size))
    book.update_id = body["lastUpdateId"]
    return book


def units(text: str) -> int:
    """An integer of 10^-8 from decimal text."""
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(DIGITS, "0"))


def describe(frame: RecordedFrame, symbol: str) -> Frame:
    """A recorded frame with what is true of it; the book's best is filled in by who keeps the book."""
    body = orjson.loads(frame.text)
    match frame.topic.channel:
        case "trade":
            return Frame(
                frame.text,
                symbol,
                "trades",
                "trade",
                sequence=body["t"],
                timestamp_ms=body["T"],
                price=body["p"],
                size=body["q"],
                side="sell" if body["m"] else "buy",
            )
        case "bookTicker":
            quote = Quote(body["b"], body["B"], body["a"], body["A"])
            return Frame(frame.text, symbol, "bookTicker", "quote", sequence=body["u"], quote=quote)
        case "depth" | "depth@100ms":
            rows = len(body["b"]) + len(body["a"])
            return Frame(
                frame.text,
                symbol,
                "orderbook",
                "update",
                sequence=body["u"],
                previous=body["U"] - 1,
                rows=rows,
                timestamp_ms=body["E"],
            )
        case _:
            return Frame(frame.text, symbol, frame.topic.channel, "other")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    remedy = "give a recording whose lines are a receive time in nanoseconds and a frame"
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                time_ns, _, text = line.rstrip("\n").partition(" ")
                if not time_ns.isdigit() or not (text.startswith("{") and text.endswith("}")):
                    raise DataError(f"line {number} of {path} is no recorded frame", remedy)
                yield int(time_ns) // 1000, text
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"cannot read {path}: {reason}", "give a readable recording") from error
    except (EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged after line {number}", "give an undamaged recording") from error


def _frames(path: Path) -> Iterator[RecordedFrame]:
    for recorded_us, text in _lines(path):
        if text.startswith(_STREAM):
            yield _frame(recorded_us, text)


def _frame(recorded_us: int, text: str) -> RecordedFrame:
    stream, found, data = text[len(_STREAM) :].partition(_DATA)
    if not found:
        raise DataError("a recorded frame has no data", "give a recording of combined streams")
    return RecordedFrame(recorded_us, stream_topic(stream), data[:-1])


def _listing(market: str, snapshot: str | None) -> Listing:
    quote = next((quote for quote in _QUOTES if market.endswith(quote)), None)
    if quote is None or quote == market:
        raise DataError(f"the recording names the market {market!r}", "give a recording of spot markets")
    body = orjson.loads(snapshot) if snapshot else {"bids": [], "asks": []}
    levels = body["bids"] + body["asks"]
    price_digits = max((_digits(price) for price, _ in levels), default=DIGITS)
    size_digits = max((_digits(size) for _, size in levels), default=DIGITS)
    return Listing(market.removesuffix(quote), quote, price_digits, size_digits, 0.0, 0.0, 0.0)


def _digits(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))
