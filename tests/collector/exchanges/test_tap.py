"""The taps over a real ccxt exchange object, without a socket."""

import asyncio
import gc
import itertools
import weakref

import pytest
import pytest_asyncio
from ccxt.async_support.base.ws.cache import ArrayCache, ArrayCacheBySymbolById
from ccxt.async_support.base.ws.order_book import OrderBook
from ccxt.base.errors import NetworkError

from fluxforge_collector.clock import SystemClock
from fluxforge_collector.exchanges.dialects import dialect_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.recorder import Recorder
from fluxforge_collector.exchanges.sound import MOST_LEVELS
from fluxforge_collector.exchanges.surroundings import Ends, Market, Start
from fluxforge_collector.exchanges.tap import WANTED, require_internals
from fluxforge_collector.exchanges.venue_taps import tapped
from fluxforge_collector.metrics import Tally
from fluxforge_collector.records import BookRecord, Channel, GapReason, TickerRecord, TradeRecord

STREAMS = tuple(Stream(c, "BTC/USDT") for c in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER))


@pytest.fixture
def out():
    return []


def record_with(made, out):
    """Let a tapped exchange record into a list."""
    ends = Ends(SystemClock(), out.append, itertools.count().__next__, itertools.count().__next__, Tally())
    recorder = Recorder(
        made.id,
        STREAMS,
        markets={"BTC/USDT": Market("BTC-USDT", None)},
        depth=5,
        dialect=dialect_of(made.id),
        ends=ends,
        start=Start(0, GapReason.DISCONNECT, is_first=True),
    )
    made.record_with(recorder, is_full_diff=False)
    WANTED.set(STREAMS)
    return made


@pytest_asyncio.fixture
async def exchange(out):
    made = record_with(tapped("okx")(), out)
    yield made
    await made.close()


def trade(number):
    return {"symbol": "BTC/USDT", "id": str(number), "price": 1.0, "amount": 1.0, "side": "buy"}


def ids(out):
    return [record.trade_id for record in out if isinstance(record, TradeRecord)]


def test_this_ccxt_is_the_one_the_taps_were_made_for():
    require_internals()


@pytest.mark.asyncio
@pytest.mark.parametrize("cache_class", [ArrayCache, ArrayCacheBySymbolById])
async def test_every_trade_is_recorded_once_however_often_the_cache_rolls_over(exchange, out, cache_class):
    client = exchange.client("ws://x")
    cache = cache_class(10)
    for number in range(3):
        cache.append(trade(number))
    for message_hash in ("trades:BTC/USDT", "trades"):
        client.resolve(cache, message_hash)
    for number in range(3, 200):
        cache.append(trade(number))
        client.resolve(cache, "trades:BTC/USDT")
    assert ids(out) == [str(number) for number in range(200)]
    assert len(cache) <= 10


@pytest.mark.asyncio
async def test_a_cache_of_ccxt_s_own_size_stays_small_in_memory(exchange, out):
    client = exchange.client("ws://x")
    cache = ArrayCache(1000)
    for number in range(500):
        cache.append(trade(number))
        client.resolve(cache, "trades:BTC/USDT")
    assert len(ids(out)) == 500
    assert len(cache) == 64


@pytest.mark.asyncio
@pytest.mark.parametrize("cache_class", [ArrayCache, ArrayCacheBySymbolById])
async def test_a_cache_goes_with_its_connection_and_waits_for_no_garbage_collection(exchange, cache_class):
    """Connections may be lost many times a minute, and each with a thousand trades."""
    client = exchange.client("ws://x")
    exchange.trades["BTC/USDT"] = cache_class(10)
    exchange.trades["BTC/USDT"].append(trade(1))
    client.resolve(exchange.trades["BTC/USDT"], "trades:BTC/USDT")
    cache = weakref.ref(exchange.trades["BTC/USDT"])
    gc.disable()
    try:
        client.on_error(NetworkError("lost"))
        assert cache() is None
    finally:
        gc.enable()


@pytest.mark.asyncio
async def test_a_trade_of_a_frame_that_failed_is_not_recorded_with_a_later_one(exchange, out):
    """Its frame is a gap, from which it may be fetched again; late, it would pass for the first trade after that."""
    exchange.trades["BTC/USDT"] = cache = ArrayCache(10)
    client = exchange.client("ws://x")
    cache.append(trade(1))
    client.handle_text_or_binary_message("{half")
    assert "BTC/USDT" not in exchange.trades
    exchange.trades["BTC/USDT"] = fresh = ArrayCache(10)
    fresh.append(trade(3))
    exchange.client("ws://x").resolve(fresh, "trades:BTC/USDT")
    assert ids(out) == ["3"]


@pytest.mark.asyncio
async def test_books_are_copied_and_what_is_taken_reaches_no_future(exchange, out):
    client = exchange.client("ws://x")
    waiting = client.future("books:BTC/USDT")
    book = OrderBook({"symbol": "BTC/USDT", "bids": [[1.0, 2.0]], "asks": [[3.0, 4.0]], "nonce": 1}, 2)
    client.resolve(book, "books:BTC/USDT")
    book["bids"].store(1.0, 9.0)
    (record,) = [record for record in out if isinstance(record, BookRecord)]
    assert (record.bids, record.asks, record.nonce) == ([1.0, 2.0], [3.0, 4.0], 1)
    assert not waiting.done()
    other = client.future("unsubscribe")
    client.resolve({"event": "unsubscribe"}, "unsubscribe")
    assert other.result() == {"event": "unsubscribe"}


@pytest.mark.asyncio
async def test_a_book_is_cut_where_a_feed_of_fixed_depth_ends(exchange, out):
    client = exchange.client("ws://x")
    levels = [[float(i), 1.0] for i in range(1, 9)]
    book = OrderBook({"symbol": "BTC/USDT", "bids": levels, "asks": [], "nonce": 1}, 4)
    client.resolve(book, "books:BTC/USDT")
    assert len(book["bids"]) == 4


@pytest.mark.asyncio
async def test_tickers_alone_and_among_others_but_no_best_quotes(exchange, out):
    client = exchange.client("ws://x")
    ticker = {"symbol": "BTC/USDT", "bid": 1.0, "last": 2.0}
    client.resolve(ticker, "bidask::BTC/USDT")
    assert out == []
    client.resolve({"BTC/USDT": ticker}, "tickers::BTC/USDT")
    assert [record.bid for record in out if isinstance(record, TickerRecord)] == [1.0]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text", ['{"arg":', '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"1","instId":"BTC/USDT"}]}']
)
async def test_a_frame_that_cannot_be_handled_replaces_its_client(exchange, text):
    client = exchange.client("ws://x")
    waiting = client.future("books:BTC/USDT")
    client.handle_text_or_binary_message(text)
    assert "BadFrameError" in repr(waiting.exception())
    assert exchange.client("ws://x") is not client


@pytest.mark.asyncio
async def test_a_book_fetched_for_a_lost_connection_never_overwrites_that_of_the_next(out, until):
    """Binance's books come over REST, one after another: those of a connection that is lost may still be on their way."""
    asked, answers = [], asyncio.Queue()

    class SlowBinance(tapped("binanceus")):
        async def fetch_rest_order_book_safe(self, symbol, limit=None, params=None):
            asked.append(symbol)
            return await answers.get()

    def snapshot(nonce):
        return {"symbol": "BTC/USDT", "bids": [[1.0, 1.0]], "asks": [[2.0, 1.0]], "nonce": nonce}

    made = record_with(SlowBinance(), out)
    try:
        for lost in (True, False):
            client = made.client("ws://x")
            client.subscriptions["orderbook::BTC/USDT"] = {"id": 1}
            made.handle_order_book_subscription(client, {}, {"id": 1, "symbols": ["BTC/USDT"]})
            await until(lambda: len(asked) == (1 if lost else 2))  # noqa: B023
            if lost:
                client.on_error(NetworkError("broken"))
        answers.put_nowait(snapshot(11))
        await until(lambda: out)
        answers.put_nowait(snapshot(12))
        await asyncio.sleep(0)
    finally:
        await made.close()
    assert [record.nonce for record in out if isinstance(record, BookRecord)] == [11]
    assert made.orderbooks["BTC/USDT"]["nonce"] == 11
    assert answers.qsize() == 1


@pytest.mark.asyncio
async def test_nothing_is_kept_of_what_nobody_asked_for(exchange, out):
    client = exchange.client("ws://x")
    for number in range(1000):
        symbol = f"X{number}/USDT"
        book = exchange.orderbooks[symbol] = OrderBook({"symbol": symbol, "bids": [[1.0, 1.0]], "asks": [[2.0, 1.0]]})
        client.resolve(book, f"books:{symbol}")
        cache = exchange.trades[symbol] = ArrayCache(10)
        cache.append({**trade(number), "symbol": symbol})
        client.resolve(cache, f"trades:{symbol}")
        ticker = exchange.tickers[symbol] = {"symbol": symbol, "bid": 1.0, "last": 1.0}
        client.resolve(ticker, f"tickers:{symbol}")
    assert out == []
    assert exchange.orderbooks == exchange.trades == exchange.tickers == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("side", ["bids", "asks"])
async def test_a_book_without_end_condemns_its_connection(exchange, out, side):
    exchange.is_full_diff = True
    client = exchange.client("ws://x")
    book = exchange.orderbooks["BTC/USDT"] = OrderBook(
        {"symbol": "BTC/USDT", "bids": [[1.0, 1.0]], "asks": [[2.0, 1.0]]}
    )
    client.on_message_callback = lambda *_: client.resolve(book, "books:BTC/USDT")
    book[side].extend([[3.0, 1.0]] * MOST_LEVELS)
    client.handle_text_or_binary_message("{}")
    assert (exchange.connections, out) == ({}, [])
