"""What a venue's wire protocol maps between: topics, moments of a market, and frames. Pure values, no sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Protocol

from fluxforge_collector.simulator.book import Best, Book, Delta
from fluxforge_collector.simulator.listing import Listing
from fluxforge_collector.simulator.market import Trade


class Topic(NamedTuple):
    """One subscription: the venue's channel name and market id."""

    channel: str
    market: str


class Quote(NamedTuple):
    """Best prices and sizes as decimal text."""

    bid: str
    bid_size: str
    ask: str
    ask_size: str


class Day(NamedTuple):
    """Rolling summary, in ticks and lots."""

    open: int
    high: int
    low: int
    last: int
    volume: int
    turnover: int
    trade_id: int


class Past(NamedTuple):
    """A trade that has happened, and the exchange's clock then."""

    trade: Trade
    time_us: int


class Moment(NamedTuple):
    """A market as it stands when frames are made: its book, what changed, what traded, and the exchange's clock.

    `past` are its last trades, oldest first. Where the venue publishes the first levels only, `delta` is of those, and
    `view_id` counts its publications.
    """

    listing: Listing
    book: Book
    now_us: int
    trades: list[Trade]
    delta: Delta | None
    day: Day
    is_best_changed: bool = True
    past: Sequence[Past] = ()
    view_id: int = 0

    def quote(self) -> Quote | None:
        """Best prices and sizes as text; None where a side is empty."""
        return quote_of(self.listing, self.book.best())

    def levels(self, levels: list[tuple[int, int]]) -> list[list[str]]:
        """Levels as decimal text."""
        listing = self.listing
        return [[listing.price_text(price), listing.size_text(size)] for price, size in levels]


class Frame(NamedTuple):
    """One frame to send and what is true of it.

    `channel` is the contract's (`orderbook`, `trades`, `ticker`) or the venue's own for others; `sequence` the venue's
    update, sequence or trade id; `previous` the one it continues; `rows` its levels or trades; `digest` that of the
    book after it. `parts` are the truths of a frame that carries several trades.
    """

    text: str
    symbol: str
    channel: str
    kind: str
    sequence: int | None = None
    previous: int | None = None
    rows: int = 1
    timestamp_ms: int | None = None
    quote: Quote | None = None
    price: str | None = None
    size: str | None = None
    side: str | None = None
    digest: int | None = None
    parts: tuple[Frame, ...] = ()


class Received(NamedTuple):
    """What a client's text asks for: frames to answer with, topics to begin and to end."""

    replies: list[str]
    begin: list[Topic]
    end: list[Topic]


class Wire(Protocol):
    """A venue's public market-data protocol as a pure mapping; venues inherit what most of them do.

    `refusal` answers what cannot be understood. `counter` is the text in whose place each message of a connection
    carries its number; None where messages are not numbered. `silent_s` is how long a connection may subscribe to
    nothing before it is closed, in seconds; None is for ever. `greeting` opens every connection, where there is one.
    """

    exchange: str
    hosts: frozenset[str]
    ping_s: float | None = None
    refusal: str
    counter: str | None = None
    silent_s: float | None = None
    greeting: str | None = None

    def market_id(self, listing: Listing) -> str:
        """The venue's name of an instrument."""

    def rest(self, path: str, query: Mapping[str, str], moments: Mapping[str, Moment], now_us: int) -> Any:
        """The JSON answer to a REST request; None where the path is unknown."""

    def receive(self, text: str, markets: Mapping[str, Listing], subscribed: AbstractSet[Topic]) -> Received:
        """What a client's frame means, on a connection that has subscribed before."""

    def cadence(self, channel: str) -> int:
        """Slices of the market between two publications of a channel; 0 where there is no such channel."""

    def depth(self, channel: str) -> int:
        """Levels a side that a channel publishes changes of; 0 where it is the whole book."""
        del channel
        return 0

    def beat(self, topic: Topic, now_us: int, count: int) -> Frame | None:
        """The heartbeat of a topic without a market, the `count`th on its connections; None where it has none."""
        del topic, now_us, count
        return None

    def snapshot(self, topic: Topic, moment: Moment) -> Frame | None:
        """The in-band snapshot that opens a subscription; None where the venue has none."""
        del topic, moment
        return None

    def publish(self, topic: Topic, moment: Moment) -> list[Frame]:
        """Frames of a topic at a moment."""


def quote_of(listing: Listing, best: Best | None) -> Quote | None:
    """Best prices and sizes as decimal text."""
    if best is None:
        return None
    return Quote(
        listing.price_text(best.bid),
        listing.size_text(best.bid_size),
        listing.price_text(best.ask),
        listing.size_text(best.ask_size),
    )


def trade_frame(moment: Moment, trade: Trade, text: str) -> Frame:
    """The frame of one trade."""
    listing = moment.listing
    return Frame(
        text,
        listing.symbol,
        "trades",
        "trade",
        sequence=trade.trade_id,
        timestamp_ms=moment.now_us // 1000,
        price=listing.price_text(trade.price),
        size=listing.size_text(trade.size),
        side="buy" if trade.is_buy else "sell",
    )
