"""Recordings played to the real client: verbatim, complete, and refused where they cannot be played."""

import asyncio
import gzip

import aiohttp
import orjson
import pytest

from fluxforge_collector.errors import DataError
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.recording import book_of, frames_of, scan

SNAPSHOT = '{"lastUpdateId":10,"bids":[["100.10000000","1.00000000"]],"asks":[["100.30000000","2.00000000"]]}'


def depth(first, last, bids="[]", asks="[]"):
    return f'{{"e":"depthUpdate","E":{last},"s":"BTCUSDT","U":{first},"u":{last},"b":{bids},"a":{asks}}}'


def trade(number):
    return (
        f'{{"e":"trade","E":5,"s":"BTCUSDT","t":{number},"p":"100.20000000","q":"0.50000000","T":5,"m":true,"M":true}}'
    )


def combined(stream, data):
    return f'{{"stream":"{stream}","data":{data}}}'


FRAMES = [
    ("depth@100ms", depth(8, 9)),
    ("trade", trade(1)),
    ("depth@100ms", depth(10, 12, '[["100.20000000","3.00000000"]]')),
    ("trade", trade(2)),
    ("depth@100ms", depth(13, 15, '[["100.20000000","0.00000000"]]', '[["100.25000000","0.70000000"]]')),
]


@pytest.fixture
def recording(tmp_path):
    """A short recording, with a snapshot inline."""
    lines = [f"{(1000 + i) * 1_000_000} {combined('btcusdt@' + ch, text)}" for i, (ch, text) in enumerate(FRAMES)]
    lines.insert(2, f"{1001_500_000} {SNAPSHOT}")
    path = tmp_path / "btcusdt.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["stream.binance.us:9443", "stream.binance.com:9443"])
async def test_frames_and_snapshot_are_verbatim(host, recording):
    options = SimulatorOptions(captures=(recording,), speed="max", quiet_s=0.05)
    api = host.replace("stream", "api").partition(":")[0]
    async with (
        Simulator(options) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/{host}/ws/0") as ws,
    ):
        streams = ["btcusdt@depth@100ms", "btcusdt@trade"]
        await ws.send_json({"method": "SUBSCRIBE", "params": streams, "id": 7})
        assert await ws.receive_json() == {"result": None, "id": 7}
        async with session.get(f"{sim.url}/{api}/api/v3/depth?symbol=BTCUSDT&limit=1000") as answer:
            assert await answer.text() == SNAPSHOT
        got = [(await ws.receive()).data for _ in FRAMES]
        assert got == [text for _, text in FRAMES]
        frames = sim.truth.frames(symbol="BTC/USDT", channel="orderbook")
        assert [f.is_superseded for f in frames] == [True, False, False]
        assert [f.recorded_us for f in frames] == [1_000_000, 1_002_000, 1_004_000]
        assert (frames[1].bid, frames[1].bid_size) == ("100.20000000", "3.00000000")
        assert (frames[2].bid, frames[2].ask, frames[2].ask_size) == (
            "100.10000000",
            "100.25000000",
            "0.70000000",
        )
        async with session.get(f"{sim.url}/{api}/api/v3/depth?symbol=BTCUSDT&limit=1000") as answer:
            later = await answer.json()
        assert later["lastUpdateId"] == 15
        assert later["asks"][0] == ["100.25000000", "0.70000000"]


@pytest.mark.asyncio
async def test_nothing_plays_before_the_snapshot_is_fetched_unless_told(recording):
    async with (
        Simulator(SimulatorOptions(captures=(recording,), speed="max", quiet_s=0.0, patience_s=60)) as sim,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{sim.url}/stream.binance.us:9443/ws/0") as ws,
    ):
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms", "btcusdt@trade"], "id": 1})
        await ws.receive_json()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.2)
        async with session.post(f"{sim.url}/_control/start") as answer:
            assert answer.status == 200
        assert (await ws.receive(5)).data == FRAMES[0][1]


@pytest.mark.asyncio
async def test_sockets_stay_open_after_the_end(recording, until):
    seen = []
    options = SimulatorOptions(captures=(recording,), speed=1000, patience_s=0.05)
    async with Simulator(options, on_sent=seen.append) as sim, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{sim.url}/stream.binance.us:9443/ws/0", autoping=False) as ws:
            await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
            got = [(await ws.receive()).data for _ in range(3)]
            assert got[1:] == [trade(1), trade(2)]
            settled = await ws.receive()
            assert settled.type is aiohttp.WSMsgType.PING
            await ws.pong(settled.data)
            await until(lambda: sim.is_finished)
            await ws.ping(b"still there")
            assert (await ws.receive()).type is aiohttp.WSMsgType.PONG
        assert [(f.sequence, f.price, f.side) for f in seen] == [
            (1, "100.20000000", "sell"),
            (2, "100.20000000", "sell"),
        ]
        assert sim.current_us == 1_004_000


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"hello\n", "line 1"),
        (b'12 {"stream":"btcusdt@trade","data":{}}\n13 {"broken\n', "line 2"),
        (b'12 {"stream":"btcusdt@trade"}\n', "no data"),
        (b"", "no frames"),
        (SNAPSHOT.join(["12 ", "\n"]).encode(), "no frames"),
        (b'12 {"stream":"xyz@trade","data":{}}\n', "XYZ"),
        (b"\xff\xfe\n", "damaged"),
    ],
)
def test_what_cannot_be_played_is_refused(content, match, tmp_path):
    path = tmp_path / "capture.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=match):
        scan((path,))


def test_a_torn_archive_and_a_missing_one_are_refused(recording, tmp_path):
    torn = tmp_path / "torn.gz"
    torn.write_bytes(recording.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"torn\.gz is damaged"):
        scan((torn,))
    with pytest.raises(DataError, match="cannot read"):
        scan((tmp_path / "absent.gz",))
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot read"):
        scan((plain,))


@pytest.mark.real_data
def test_the_real_recordings_are_read_whole(recordings):
    recording = scan(recordings)
    times = [frame.recorded_us for frame in frames_of(recording)]
    assert len(times) == recording.frames == 179_316
    assert times == sorted(times)
    assert recording.listings["BTCUSDT"].symbol == "BTC/USDT"
    best = book_of(recording.snapshots["BTCUSDT"]).best()
    assert (best.bid, best.ask - best.bid) == (6_183_763_000_000, 1_000_000)


@pytest.mark.real_data
@pytest.mark.asyncio
async def test_the_real_client_takes_every_recorded_frame(recordings, client, watching, until):
    """The first 100 s of the recording: every frame reaches the client, in order, and its books are the recorded ones."""
    symbols = ["BTC/USDT", "ETH/USDT"]
    firsts = tuple(path for path in recordings if path.name.endswith("08.gz"))
    async with Simulator(SimulatorOptions(captures=firsts, speed="max")) as sim, client(sim, "binance") as ex:
        taken = []
        inner = ex.handle_message

        def handle(made, message):
            if "e" in message:
                taken.append((message["e"], message["s"], message.get("t", message.get("u"))))
            return inner(made, message)

        ex.handle_message = handle
        calls = (lambda: ex.watch_order_book_for_symbols(symbols), lambda: ex.watch_trades_for_symbols(symbols))
        async with watching(*calls) as (_, errors):
            await until(lambda: sim.is_finished, seconds=120)
        assert not errors
        names = {"orderbook": "depthUpdate", "trades": "trade"}
        sent = [(names[f.channel], f.symbol.replace("/", ""), f.sequence) for f in sim.truth.frames()]
        assert len(sent) == 3451 + 9757 + 3434 + 6106
        assert sorted(taken) == sorted(sent)
        for symbol in symbols:
            last = sim.truth.frames("binance", symbol, "orderbook")[-1]
            kept = ex.orderbooks[symbol]
            assert kept["nonce"] == last.sequence
            assert [*kept["bids"][0][:2], *kept["asks"][0][:2]] == [
                float(last.bid),
                float(last.bid_size),
                float(last.ask),
                float(last.ask_size),
            ]


@pytest.mark.real_data
def test_the_rebuilt_book_agrees_with_the_venues_own_quotes(recordings):
    """Where a depth update ends at the id of a recorded bookTicker, the book has its best prices and sizes."""
    recording = scan(tuple(path for path in recordings if "ethusdt" in path.name))
    book = book_of(recording.snapshots["ETHUSDT"])
    quotes, compared = {}, 0
    for frame in frames_of(recording):
        if frame.topic.channel == "bookTicker":
            body = orjson.loads(frame.text)
            quotes[body["u"]] = [body["b"], body["B"], body["a"], body["A"]]
    for frame in frames_of(recording):
        body = orjson.loads(frame.text)
        if frame.topic.channel != "depth@100ms" or body["u"] <= book.update_id:
            continue
        for side, levels in ((book.bids, body["b"]), (book.asks, body["a"])):
            for price, size in levels:
                side.set(int(price.replace(".", "")), int(size.replace(".", "")))
        if body["u"] in quotes:
            compared += 1
            assert [int(x.replace(".", "")) for x in quotes[body["u"]]] == list(book.best())
    assert compared > 500
