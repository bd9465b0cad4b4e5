"""The real ccxt.pro client against the simulated exchange: what was sent, what was kept, and what went wrong."""

import asyncio
from collections import Counter

import pytest

from fluxforge_collector.errors import ConfigError, FeedError
from fluxforge_collector.exchanges.ccxt_exchange import check_known, groups
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.records import Channel
from fluxforge_collector.service import collect
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
VENUES = ["binanceus", "okx"]
NARROW = ("bybit", "coinbase")  # one takes ten at once, one carries ten
ONE_SEGMENT = {"segment_max_seconds": 86_400}  # a gap that is open when a segment ends is told of in both


def sent(simulator, exchange, symbol, channel):
    """The ground truth of a stream by update id or trade id, without what a fault kept back."""
    frames = simulator.truth.frames(exchange=exchange, symbol=symbol, channel=channel)
    return {frame.sequence: frame for frame in frames if not frame.is_superseded}


def of(rows, exchange, symbol):
    return [row for row in rows if (row["exchange"], row["symbol"]) == (exchange, symbol)]


def best(row):
    top = [row["bids"][:1], row["asks"][:1]]
    return tuple(value for side in top for level in side for value in (level["price"], level["size"]))


def quote(frame):
    return tuple(float(text) for text in (frame.bid, frame.bid_size, frame.ask, frame.ask_size))


@pytest.mark.asyncio
async def test_every_state_trade_and_ticker_sent_is_kept_once_and_equal(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=11, speed=10)) as sim:
        settings = config(sim, {venue: {"symbols": SYMBOLS} for venue in VENUES})
        async with collecting(settings) as running:
            await until(lambda: all(running.states(venue) > 300 for venue in VENUES))
        books, trades = rows(settings.root, "orderbook"), rows(settings.root, "trades")
        for venue in VENUES:
            account = running.report.account[venue]
            stated = 0
            for symbol in SYMBOLS:
                truth = sent(sim, venue, symbol, "orderbook")
                kept = of(books, venue, symbol)
                nonces = [row["nonce"] for row in kept]
                expected = [u for u in sorted(truth) if nonces[0] <= u <= nonces[-1]]
                assert sorted(set(nonces)) == nonces, "each state once, in order"
                assert set(expected) <= set(nonces)
                assert all(best(row) == quote(truth[row["nonce"]]) for row in kept if row["nonce"] in truth)
                stated += len([u for u in nonces if u in truth])

                truth = sent(sim, venue, symbol, "trades")
                kept = of(trades, venue, symbol)
                ids = [int(row["trade_id"]) for row in kept]
                assert ids == [i for i in sorted(truth) if ids[0] <= i <= ids[-1]]
                for row in kept:
                    frame = truth[int(row["trade_id"])]
                    assert (row["price"], row["amount"], row["side"]) == (
                        float(frame.price),
                        float(frame.size),
                        frame.side,
                    )
            by_kind = Counter(account)
            assert by_kind["received"] == sum(by_kind.values()) - by_kind["received"]
            assert set(account) <= {
                "received",
                "states",
                "trades",
                "tickers",
                "control",
                "before_snapshot",
                "stale_update",
                "after_stop",
            }
            assert by_kind["trades"] == len([r for r in trades if r["exchange"] == venue])
            assert by_kind["tickers"] == running.tally.records[venue, "ticker"]
        tickers = rows(settings.root, "ticker")
        assert {row["exchange"] for row in tickers} == set(VENUES)
        assert all(row["bid"] < row["ask"] for row in tickers)
    assert running.report.gaps == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", VENUES)
async def test_a_lost_update_becomes_a_gap_and_the_book_is_right_again(venue, config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=12, speed=5)) as sim:
        settings = config(sim, {venue: {"symbols": SYMBOLS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.states(venue) > 40)
            await sim.inject(Fault("drop", exchange=venue, symbol="BTC/USDT", channel="orderbook"))
            await until(lambda: running.gaps(venue, "sequence"))
            states = running.states(venue)
            await until(lambda: running.states(venue) > states + 40)
        truth = sent(sim, venue, "BTC/USDT", "orderbook")
        kept = of(rows(settings.root, "orderbook"), venue, "BTC/USDT")
        lost = next(u for u, frame in truth.items() if frame.fault == "drop")
        assert all(best(row) == quote(truth[row["nonce"]]) for row in kept if row["nonce"] in truth)
        gaps = rows(settings.root, "gaps")
        assert [(g["symbol"], g["channel"], g["reason"]) for g in gaps] == [("BTC/USDT", "orderbook", "sequence")]
        before = max(row["capture_ts"] for row in kept if row["nonce"] < lost)
        after = min(row["capture_ts"] for row in kept if row["nonce"] > lost)
        assert (gaps[0]["gap_start"], gaps[0]["gap_end"]) == (before, after)
        missing = {u for u in truth if kept[0]["nonce"] <= u <= kept[-1]["nonce"]} - {row["nonce"] for row in kept}
        edge = [row["nonce"] for row in kept if row["capture_ts"] in {before, after}]
        assert all(edge[0] < u < edge[-1] for u in missing)


@pytest.mark.asyncio
@pytest.mark.parametrize("venue", VENUES)
async def test_a_malformed_frame_becomes_a_gap_within_a_second_and_the_stream_goes_on(
    venue, config, collecting, until, rows
):
    async with Simulator(SimulatorOptions(seed=13, speed=5)) as sim:
        settings = config(sim, {venue: {"symbols": SYMBOLS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.states(venue) > 40)
            await sim.inject(Fault("malformed", exchange=venue, channel="orderbook"))
            await until(lambda: running.tally.frames[venue, "bad_frame"])
            await until(lambda: running.gaps(venue, "bad_frame") >= 2, seconds=5)
            states = running.states(venue)
            await until(lambda: running.states(venue) > states + 40)
        gaps = [gap for gap in rows(settings.root, "gaps") if gap["channel"] == "orderbook"]
        assert {(gap["symbol"], gap["reason"]) for gap in gaps} == {(symbol, "bad_frame") for symbol in SYMBOLS}
        assert running.report.reconnects >= 1


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["close", "abort"])
async def test_a_lost_connection_becomes_gaps_on_all_its_streams(kind, config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=14, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS, "backfill_trades": False}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.states("okx") > 40 and running.tally.records["okx", "ticker"])
            assert await sim.inject(Fault(kind, exchange="okx")) >= 1
            await until(lambda: running.gaps("okx", "disconnect") == 6)
            states = running.states("okx")
            await until(lambda: running.states("okx") > states + 40)
        gaps = rows(settings.root, "gaps")
        streams = [(gap["symbol"], gap["channel"]) for gap in gaps]
        assert sorted(streams) == [(s, c) for s in SYMBOLS for c in ("orderbook", "ticker", "trades")]
        assert {gap["reason"] for gap in gaps} == {"disconnect"}
        assert running.report.reconnects == 1
        books = of(rows(settings.root, "orderbook"), "okx", "BTC/USDT")
        gap = next(g for g in gaps if (g["symbol"], g["channel"]) == ("BTC/USDT", "orderbook"))
        assert not [row for row in books if gap["gap_start"] < row["capture_ts"] < gap["gap_end"]]
        assert len({row["conn"] for row in books}) == 2


@pytest.mark.asyncio
async def test_more_symbols_than_an_exchange_takes_in_one_request(config, collecting, until):
    symbols = [
        f"{base}/USDT"
        for base in ["BTC", "ETH", "SOL", "XRP", "DOGE", "BNB", "ADA", "AVAX", "LINK", "LTC", "DOT", "BCH"]
    ]
    async with Simulator(SimulatorOptions(seed=16, exchanges=NARROW, instruments=symbols, speed=5)) as sim:
        settings = config(sim, {exchange: {"symbols": symbols, "subscriptions_per_second": 50} for exchange in NARROW})
        asked = {
            (exchange, symbol, channel)
            for exchange in NARROW
            for symbol in symbols
            for channel in ("orderbook", "trades", "ticker")
        }
        async with collecting(settings) as running:
            await until(lambda: running.tally.last_us.keys() >= asked, seconds=60)


@pytest.mark.asyncio
@pytest.mark.parametrize("exchange", ["bybit", "okx"])
async def test_no_state_is_built_on_the_book_of_before_where_a_snapshot_is_lost(
    exchange, config, collecting, until, rows
):
    async with Simulator(SimulatorOptions(seed=18, exchanges=(exchange,), speed=5)) as sim:
        settings = config(sim, {exchange: {"symbols": SYMBOLS}}, **ONE_SEGMENT)
        async with collecting(settings) as running:
            await until(lambda: running.states(exchange) > 100)
            await sim.inject(Fault("close", exchange=exchange, code=1012))
            await sim.inject(Fault("drop", exchange=exchange, symbol="BTC/USDT", channel="orderbook"))
            before = running.states(exchange)
            await until(lambda: running.states(exchange) > before + 200)
        (lost,) = (frame for frame in sim.truth.frames(exchange=exchange, channel="orderbook") if frame.fault == "drop")
        assert lost.kind == "snapshot"
        truth = {
            (f.sequence, quote(f)) for f in sim.truth.frames(exchange=exchange, symbol="BTC/USDT", channel="orderbook")
        }
        assert {
            (row["nonce"], best(row)) for row in of(rows(settings.root, "orderbook"), exchange, "BTC/USDT")
        } <= truth


@pytest.mark.asyncio
async def test_a_book_that_broke_is_asked_for_again_by_itself(config, collecting, until, rows):
    """The others, asked for once more with it, would begin anew, and nobody could tell what they missed before."""
    async with Simulator(SimulatorOptions(seed=19, exchanges=("okx",), speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS}}, **ONE_SEGMENT)

        def snapshots(symbol):
            frames = sim.truth.frames(exchange="okx", symbol=symbol, channel="orderbook")
            return sum(frame.kind == "snapshot" for frame in frames)

        async with collecting(settings) as running:
            await until(lambda: running.states("okx") > 100)
            assert [snapshots(symbol) for symbol in SYMBOLS] == [1] * len(SYMBOLS)
            await sim.inject(Fault("drop", exchange="okx", symbol=SYMBOLS[0], channel="orderbook"))
            await until(lambda: snapshots(SYMBOLS[0]) == 2)
            before = running.states("okx")
            await until(lambda: running.states("okx") > before + 100)
        assert [snapshots(symbol) for symbol in SYMBOLS[1:]] == [1] * (len(SYMBOLS) - 1)
        assert {row["symbol"] for row in rows(settings.root, "gaps")} == {SYMBOLS[0]}


@pytest.mark.asyncio
async def test_a_repeated_frame_is_kept_once(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=15, speed=5)) as sim:
        settings = config(sim, {"binanceus": {"symbols": SYMBOLS}})
        async with collecting(settings) as running:
            await until(lambda: running.states("binanceus") > 40)
            await sim.inject(Fault("duplicate", channel="orderbook", count=3))
            await sim.inject(Fault("duplicate", channel="trades", count=3))
            await until(lambda: running.tally.frames["binanceus", "stale_update"] == 3)
            await until(lambda: running.tally.frames["binanceus", "duplicate"] == 3)
        for channel, key in (("orderbook", "nonce"), ("trades", "trade_id")):
            for symbol in SYMBOLS:
                keys = [row[key] for row in of(rows(settings.root, channel), "binanceus", symbol)]
                assert len(set(keys)) == len(keys)
    assert running.report.gaps == {}


@pytest.mark.asyncio
async def test_an_unknown_symbol_is_reported_and_the_others_go_on(config, collecting, until):
    async with Simulator(SimulatorOptions(seed=16, speed=5)) as sim:
        settings = config(sim, {"binanceus": {"symbols": ["BTC/USDT", "BTC/USDX"]}})
        async with collecting(settings) as running:
            await until(lambda: running.states("binanceus") > 10)
    assert running.report.refused == [
        "binanceus has no symbol 'BTC/USDX': did you mean BTC/USDT? (exchanges.binanceus.symbols)"
    ]


@pytest.mark.asyncio
async def test_nothing_to_collect_is_an_error(config):
    async with Simulator(SimulatorOptions(seed=16)) as sim:
        settings = config(sim, {"binanceus": {"symbols": ["FOO/BAR"]}})
        with pytest.raises(FeedError, match="no symbol 'FOO/BAR'"):
            async with asyncio.timeout(60):
                await collect(settings)


@pytest.mark.asyncio
async def test_symbols_are_shared_out_over_connections(config, collecting, until, rows):
    async with Simulator(SimulatorOptions(seed=17, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": SYMBOLS, "streams_per_connection": 1}})
        async with collecting(settings) as running:
            streams = {("okx", symbol, "orderbook") for symbol in SYMBOLS}
            await until(lambda: streams <= running.tally.last_us.keys())
        books = rows(settings.root, "orderbook")
        assert {s: len({r["conn"] for r in of(books, "okx", s)}) for s in SYMBOLS} == dict.fromkeys(SYMBOLS, 1)
        assert len({row["conn"] for row in books}) == 2
    assert running.report.gaps == {}


def test_an_unknown_exchange_is_named_with_its_neighbour():
    with pytest.raises(ConfigError, match="did you mean binanceus"):
        check_known("binancus")
    check_known("okx")


def test_groups_keep_kinds_of_market_and_channels_apart():
    markets = {"a": {"type": "spot"}, "b": {"type": "swap", "linear": True}, "c": {"type": "spot"}}
    streams = [Stream(c, s) for c in (Channel.ORDERBOOK, Channel.TICKER) for s in "abc"]
    assert [[s.symbol for s in group] for group in groups(streams, markets)] == [["a", "c"], ["b"], ["a", "c"], ["b"]]
