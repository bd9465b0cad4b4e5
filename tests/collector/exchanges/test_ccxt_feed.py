"""Keeping subscriptions open whatever an exchange raises, and telling silence from quiet."""

import asyncio
import itertools
from functools import partial

import pytest
from ccxt.base.errors import (
    BadSymbol,
    ChecksumError,
    ExchangeError,
    ExchangeNotAvailable,
    InvalidNonce,
    NetworkError,
    UnsubscribeError,
)
from structlog.testing import capture_logs

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.config.sources import Exchange
from fluxforge_collector.exchanges import ccxt_feed
from fluxforge_collector.exchanges.ccxt_feed import Feed, HungError, leaves_connection, refusals_in_a_row
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.surroundings import Ends, Market, Start
from fluxforge_collector.metrics import Tally
from fluxforge_collector.reconnect import Backoff
from fluxforge_collector.records import Channel, GapReason

A, B, C = (Stream(Channel.ORDERBOOK, symbol) for symbol in ("A/USDT", "B/USDT", "C/USDT"))


class Turned(SystemClock):
    """A clock whose seconds are turned by hand."""

    seconds = 1000.0

    def monotonic(self):
        return self.seconds


class Script:
    """An exchange whose watch call does what the script says next, then waits for ever."""

    def __init__(self, *steps, has=("watchOrderBook", "watchOrderBookForSymbols")):
        self.has = dict.fromkeys(has, True)
        self.markets = {"A/USDT": {"id": "AUSDT"}, "B/USDT": {"id": "BUSDT"}}
        self.steps, self.asked, self.connections, self.is_closed = list(steps), [], {}, False

    async def watch_order_book(self, symbol):
        await self._next([symbol])

    async def watch_order_book_for_symbols(self, symbols):
        await self._next(symbols)

    async def _next(self, symbols):
        self.asked.append(tuple(symbols))
        step = self.steps.pop(0) if self.steps else None
        if step is None:
            await asyncio.Event().wait()
        raise step

    async def close(self):
        self.is_closed = True


class Failed:
    """A client that notes why it was given up."""

    def __init__(self):
        self.errors = []

    def on_error(self, error):
        self.errors.append(str(error))


def book(symbol):
    """A live book as ccxt hands it over."""
    return {"symbol": symbol, "bids": [[1.0, 1.0]], "asks": [[2.0, 1.0]], "nonce": 7, "timestamp": 1}


def feed_of(exchange, streams=(A, B), others=(), clock=None, hung_s=120.0, **settings):
    refused, clock = [], clock or SystemClock()
    ends = Ends(clock, lambda _: None, itertools.count().__next__, itertools.count().__next__, Tally())
    recorder = Recorder(
        "okx",
        (*streams, *others),
        markets={stream.symbol: Market(stream.symbol, None) for stream in (*streams, *others)},
        depth=5,
        dialect=dialect_of("okx"),
        ends=ends,
        start=Start(0, GapReason.DISCONNECT, is_first=True),
    )
    config = Exchange.model_validate({"symbols": [s.symbol for s in streams], **settings})
    feed = Feed(exchange, recorder, [streams], settings=config, refuse=refused.append, hung_s=hung_s)
    return feed, recorder, refused


async def stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [NetworkError("x"), asyncio.CancelledError(), TypeError("ccxt's own mistake")])
async def test_whatever_happens_the_subscription_is_made_again(error, until):
    exchange = Script(error)
    feed, _, refused = feed_of(exchange)
    task = asyncio.create_task(feed.run())
    await until(lambda: exchange.asked == [("A/USDT", "B/USDT")] * 2)
    await stop(task)
    assert exchange.is_closed
    assert refused == []


@pytest.mark.asyncio
async def test_a_symbol_refused_among_others_is_found_and_the_others_stay(until):
    exchange = Script(BadSymbol("bad subscription"))
    feed, _, refused = feed_of(exchange)
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 3)
    assert sorted(exchange.asked[1:]) == [("A/USDT",), ("B/USDT",)]
    assert refused == []
    await stop(task)


@pytest.mark.asyncio
async def test_many_that_are_refused_again_and_again_are_asked_for_singly(until):
    exchange = Script(*[ExchangeError("args size >1")] * 3)
    feed, _, refused = feed_of(exchange)
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 5)
    assert exchange.asked[:3] == [("A/USDT", "B/USDT")] * 3
    assert sorted(exchange.asked[3:]) == [("A/USDT",), ("B/USDT",)]
    assert refused == []
    await stop(task)


@pytest.mark.parametrize(
    ("before", "error", "held_s", "refusals"),
    [
        pytest.param(0, ExchangeError("args size >1"), 0.1, 1, id="first"),
        pytest.param(2, ExchangeError("args size >1"), 59.9, 3, id="again"),
        pytest.param(2, ExchangeError("an error frame"), 60.0, 0, id="after it stood, as error frames do hours apart"),
        pytest.param(2, ExchangeError("429 Too Many Requests"), 0.1, 0, id="nobody is answered for now"),
        pytest.param(2, NetworkError("closed"), 0.1, 0, id="a connection that ends refuses nothing"),
    ],
)
def test_what_counts_as_refused_in_a_row(before, error, held_s, refusals):
    assert refusals_in_a_row(before, error, held_s) == refusals


@pytest.mark.parametrize(
    ("error", "flows", "leaves"),
    [
        pytest.param(
            InvalidNonce("okx watchOrderBook received invalid nonce"), False, True, id="a book does not follow"
        ),
        pytest.param(ChecksumError("validation failed"), False, True, id="nor does its checksum"),
        pytest.param(UnsubscribeError("okx books:SOL/USDT"), False, True, id="it is unsubscribed for that"),
        pytest.param(ExchangeError("Invalid request"), True, True, id="said while all that was asked for comes"),
        pytest.param(ExchangeError("Invalid request"), False, False, id="what was asked for does not come"),
        pytest.param(ExchangeError("429 Too Many Requests"), True, False, id="a request too many"),
        pytest.param(ExchangeNotAvailable("503"), True, False, id="nobody is answered for now"),
        pytest.param(NetworkError("closed"), True, False, id="the connection has ended"),
    ],
)
def test_what_says_nothing_against_a_connection(error, flows, leaves):
    assert leaves_connection(error, flows=flows) == leaves


@pytest.fixture
def longest_waits(monkeypatch):
    """Every wait at its longest, and over at once."""
    sleep = asyncio.sleep
    monkeypatch.setattr(ccxt_feed, "Backoff", partial(Backoff, uniform=lambda low, high: high))
    monkeypatch.setattr(ccxt_feed.asyncio, "sleep", lambda seconds: sleep(min(seconds, 0.01)))


async def waits_of(exchange, until, times, streams=(A, B)):
    """How long was waited before each of so many repetitions, seconds."""
    with capture_logs() as lines:
        feed, *_ = feed_of(exchange, streams=streams, subscriptions_per_second=1000)
        task = asyncio.create_task(feed.run())
        await until(lambda: len(exchange.asked) == times + 1)
        await stop(task)
    return [line["in_s"] for line in lines if line["event"] == "resubscribing"]


@pytest.mark.asyncio
async def test_a_book_to_be_built_anew_is_asked_for_within_a_second_however_often(longest_waits, until):
    """Nor do its faults count against the connection, on which all else goes on."""
    exchange = Script(*[InvalidNonce("does not follow")] * 6, NetworkError("closed"))
    assert await waits_of(exchange, until, 7) == [0.5, 1, 1, 1, 1, 1, 0.5]


@pytest.mark.asyncio
async def test_a_connection_that_fails_again_and_again_is_given_more_time(longest_waits, until):
    exchange = Script(*[NetworkError("closed")] * 4, InvalidNonce("does not follow"))
    assert await waits_of(exchange, until, 5) == [0.5, 1, 2, 4, 0.5]


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ExchangeError("Invalid request"), BadSymbol("no such market")])
async def test_what_flows_is_not_taken_for_refused_whatever_the_exchange_says(error, longest_waits, until):
    """Error frames: asked for singly, Binance would bring everything over another connection once more."""
    exchange = Script(*[error] * 5)
    feed, recorder, refused = feed_of(exchange)
    connection = recorder.dial("ws://x")
    recorder.carry(connection, [A, B])
    for stream in (A, B):
        recorder.book(connection, book(stream.symbol), "books")
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 6)
    assert exchange.asked == [("A/USDT", "B/USDT")] * 6
    assert refused == []
    await stop(task)


@pytest.mark.asyncio
async def test_what_carries_many_is_closed_before_each_is_asked_for_singly(until):
    """Otherwise each would come twice from then on; what carries others as well stays."""
    exchange = Script(*[ExchangeError("args size >1")] * 3)
    feed, recorder, _ = feed_of(exchange, streams=(A, B), others=(C,))
    alone, shared = Failed(), Failed()
    for client, streams in ((alone, [A, B]), (shared, [A, C])):
        exchange.connections[client] = recorder.dial("ws://x")
        recorder.carry(exchange.connections[client], streams)
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 5)
    assert alone.errors == ["asked for singly from now on"]
    assert shared.errors == []
    await stop(task)


@pytest.mark.asyncio
async def test_every_refusal_is_a_line_and_one_says_that_each_is_asked_for_singly(until):
    too_many, no_such = ExchangeError("args size >1"), ExchangeError("not open yet")
    exchange = Script(*[too_many] * 3, no_such, no_such)
    with capture_logs() as lines:
        feed, *_ = feed_of(exchange)
        task = asyncio.create_task(feed.run())
        await until(lambda: len(exchange.asked) >= 7)
        await stop(task)
    said = [(line["event"], line.get("symbols") or line["symbol"], line["why"]) for line in lines]
    together = (2, "ExchangeError: args size >1")
    assert said[:3] == [("resubscribing", *together), ("resubscribing", *together), ("asking singly", *together)]
    assert sorted(said[3:]) == [
        ("resubscribing", symbol, "ExchangeError: not open yet") for symbol in ("A/USDT", "B/USDT")
    ]


@pytest.mark.asyncio
async def test_a_single_symbol_refused_is_reported_once(until):
    exchange = Script(BadSymbol("AUSDT does not exist"))
    feed, _, refused = feed_of(exchange, streams=(A,))
    task = asyncio.create_task(feed.run())
    await until(lambda: refused)
    assert exchange.asked == [("A/USDT",)]
    assert refused[0].startswith("okx refuses orderbook of A/USDT: BadSymbol: AUSDT does not exist; remove it")
    await stop(task)


@pytest.mark.asyncio
async def test_a_channel_the_exchange_does_not_have_is_refused(until):
    feed, _, refused = feed_of(Script(has=()))
    task = asyncio.create_task(feed.run())
    await until(lambda: refused)
    assert refused == ["okx has no channel orderbook: remove its symbols"]
    await stop(task)


@pytest.mark.asyncio
async def test_a_silent_connection_is_replaced_and_a_quiet_one_given_more_time(until):
    clock, exchange = Turned(), Script()
    feed, recorder, _ = feed_of(exchange, clock=clock, silence_seconds=0.04, stale_after_seconds=100)
    task = asyncio.create_task(feed.run())

    def connect():
        client = Failed()
        connection = recorder.dial("ws://x")
        recorder.carry(connection, [A, B])
        recorder.connected(connection)
        exchange.connections = {client: connection}
        return client

    first = connect()
    clock.seconds += 0.05
    await until(lambda: first.errors)
    assert first.errors[0] == "no data for 0 s"
    second = connect()
    clock.seconds += 0.05
    await until(lambda: recorder.unwatched_s == 0)
    assert second.errors == []
    clock.seconds += 0.05
    await until(lambda: second.errors)
    await stop(task)


@pytest.mark.asyncio
async def test_a_book_that_stays_away_is_named(until):
    clock, exchange = Turned(), Script()
    feed, recorder, _ = feed_of(exchange, clock=clock, silence_seconds=0.4, stale_after_seconds=1)
    client = Failed()
    connection = recorder.dial("ws://x")
    recorder.carry(connection, [A, B])
    exchange.connections = {client: connection}
    task = asyncio.create_task(feed.run())
    clock.seconds += 2
    connection.data_s = clock.seconds
    await until(lambda: client.errors)
    assert client.errors[0].startswith("no order book of ")
    await stop(task)


@pytest.mark.asyncio
async def test_a_stream_on_no_connection_that_nobody_asks_for_again_breaks_its_feed(until):
    exchange = Script(NetworkError("x"))
    feed, recorder, _ = feed_of(exchange, silence_seconds=0.04, hung_s=0.3)
    connection = recorder.dial("ws://x")
    recorder.carry(connection, [A, B])
    exchange.connections = {Failed(): connection}
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 2 and recorder.silent_s(A) > 0.5)
    assert not task.done()
    exchange.connections = {}
    with pytest.raises(ExceptionGroup) as broken:
        await task
    assert broken.group_contains(HungError, match="nobody has asked for orderbook of A/USDT for")
    assert exchange.is_closed


@pytest.mark.asyncio
async def test_a_stream_that_waits_for_its_turn_to_be_asked_for_breaks_no_feed(until):
    """As thousands of them do after an outage, at five a second."""
    exchange = Script(None, NetworkError("x"), has=("watchOrderBook",))
    feed, recorder, _ = feed_of(exchange, silence_seconds=0.04, hung_s=0.3, subscriptions_per_second=1)
    connection = recorder.dial("ws://x")
    recorder.carry(connection, [A])
    exchange.connections = {Failed(): connection}
    task = asyncio.create_task(feed.run())
    await until(lambda: len(exchange.asked) == 3 or task.done())
    assert exchange.asked == [("A/USDT",), ("B/USDT",), ("B/USDT",)]
    await stop(task)


@pytest.mark.asyncio
async def test_a_feed_whose_watch_turns_is_looked_after(until):
    clock = Turned()
    feed, recorder, _ = feed_of(Script(), clock=clock, silence_seconds=0.04)
    clock.seconds += 200
    assert recorder.unwatched_s == 200
    task = asyncio.create_task(feed.run())
    await until(lambda: recorder.unwatched_s == 0)
    await stop(task)
