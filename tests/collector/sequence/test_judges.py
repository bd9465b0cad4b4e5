"""Judges: what they find in a run of messages of one connection, and which exchanges have one."""

import re
import zlib
from pathlib import Path

import ccxt.pro
import orjson
import pytest

from fluxforge_collector.records import Channel, GapReason
from fluxforge_collector.sequence import PROOFS, SequenceJudge, Verdict, is_proven, judge_of
from fluxforge_collector.sequence.judges import KrakenJudge, OkxJudge
from fluxforge_collector.sequence.updates import read_coinbase

CAPTURE = Path(__file__).resolve().parents[4] / "shared" / "data" / "cryptofeed_captures" / "OKX.ws.1.0"


def verdicts(judge, *messages):
    return [[finding.verdict for finding in judge.look(message, b"")] for message in messages]


def test_a_judge_remembers_the_last_of_each_market():
    judge = judge_of("binanceus")
    frames = [("A", 1, 2), ("B", 8, 9), ("A", 3, 3), ("B", 10, 12), ("A", 5, 6), ("A", 7, 8), ("B", 8, 9)]
    messages = [{"e": "depthUpdate", "s": m, "U": first, "u": last, "b": [], "a": []} for m, first, last in frames]
    follows, breaks, repeats = [Verdict.FOLLOWS], [Verdict.BREAKS], [Verdict.REPEATS]
    assert verdicts(judge, *messages) == [follows] * 4 + [breaks, follows, repeats]


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (judge_of("binanceus"), lambda n: {"e": "depthUpdate", "s": f"X{n}", "U": 1, "u": 2, "b": [], "a": []}),
        (judge_of("okx"), lambda n: {"arg": {"channel": "books", "instId": f"X{n}"}, "action": "snapshot", "data": [{"bids": [], "asks": [], "checksum": 7}]}),
    ],
    ids=["by ids", "by checksums"],
)  # fmt: skip
def test_markets_without_end_are_refused(judge, message):
    for number in range(10_000):
        judge.look(message(number), b"")
    with pytest.raises(ValueError, match="more than 10000 markets on one connection"):
        judge.look(message(10_000), b"")


def test_where_a_feed_opens_with_a_snapshot_a_change_before_it_is_a_break():
    """As when the snapshot is lost after a reconnect: the client would go on with the book of before."""

    def book(kind, number, market="BTCUSDT"):
        return {"topic": f"orderbook.50.{market}", "type": kind, "data": {"s": market, "b": [], "a": [], "u": number}}

    judge = judge_of("bybit")
    messages = [book("delta", 8), book("snapshot", 8), book("delta", 9), book("delta", 4, "ETHUSDT"), book("delta", 1)]
    follows, breaks = [Verdict.FOLLOWS], [Verdict.BREAKS]
    assert verdicts(judge, *messages) == [breaks, follows, follows, breaks, follows]


def test_control_frames_count_too():
    judge = SequenceJudge(read_coinbase)
    messages = [
        {"channel": name, "sequence_num": n} for name, n in (("heartbeats", 0), ("subscriptions", 1), ("ticker", 3))
    ]
    assert verdicts(judge, *messages)[-1] == [Verdict.BREAKS]


def kraken(bids, stated, kind="update", symbol="BTC/USD"):
    levels = ",".join(f'{{"price":{price},"qty":{size}}}' for price, size in bids)
    text = f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{levels}],"asks":[],"checksum":{stated}}}]}}'
    return orjson.loads(text), text


def test_kraken_s_digits_are_those_of_the_frame():
    """`0.00100000` counts as 100000: its zeros are lost in the number, and kept in the text."""
    message, text = kraken([("45285.20", "0.00100000")], zlib.crc32(b"4528520100000"), "snapshot")
    (finding,) = KrakenJudge().look(message, text)
    assert finding.verdict is Verdict.FOLLOWS


def test_kraken_s_book_is_cut_at_the_depth_subscribed_to():
    judge = KrakenJudge()
    result = {"channel": "book", "symbol": "BTC/USD", "depth": 2}
    assert judge.look({"method": "subscribe", "success": True, "result": result}, "") == ()
    steps = [
        ([("3", "1"), ("2", "1")], b"3121", "snapshot"),
        ([("4", "1")], b"4131", "update"),  # 2 has left the book for good
        ([("4", "0")], b"31", "update"),
    ]
    for bids, digits, kind in steps:
        (finding,) = judge.look(*kraken(bids, zlib.crc32(digits), kind))
        assert finding.verdict is Verdict.FOLLOWS, finding


@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_kraken_s_book_that_comes_twice_repeats(kind):
    """Neither has an id, and a snapshot no time either."""
    judge = KrakenJudge()
    judge.look(*kraken([("3", "1")], zlib.crc32(b"31"), "snapshot"))
    message = kraken([("4", "1")], zlib.crc32(b"41" if kind == "snapshot" else b"4131"), kind)
    found = [finding.verdict for _ in range(2) for finding in judge.look(*message)]
    assert found == [Verdict.FOLLOWS, Verdict.REPEATS]


def test_kraken_s_update_without_a_snapshot_is_not_whole():
    with pytest.raises(KeyError):
        KrakenJudge().look(*kraken([("3", "1")], 0))


def test_okx_keeps_no_book_where_no_checksum_is_sent():
    judge = OkxJudge()
    data = {"bids": [["1", "1"]], "asks": [], "checksum": 0, "seqId": 2, "prevSeqId": -1}
    message = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "snapshot", "data": [data]}
    assert verdicts(judge, message) == [[Verdict.FOLLOWS]]
    assert judge._books == {}


@pytest.mark.real_data
def test_okx_as_it_was_sent_holds_and_a_frame_left_out_does_not():
    if not CAPTURE.is_file():
        pytest.skip("the recordings are not beside the project")
    texts = [found[1] for line in CAPTURE.read_text().splitlines() if (found := re.match(r"\d+\.\d+: (.*)", line))]
    books = [m for m in map(orjson.loads, texts) if m.get("arg", {}).get("channel") == "books" and "action" in m]
    assert not [
        finding for message in books for finding in OkxJudge().look(message, b"") if message["action"] == "snapshot"
    ]
    judge = OkxJudge()
    assert [finding for message in books for finding in judge.look(message, b"")] == []
    market = books[-1]["arg"]["instId"]
    mine = [message for message in books if message["arg"]["instId"] == market]
    judge = OkxJudge()
    found = [finding for message in [*mine[:5], *mine[6:]] for finding in judge.look(message, b"")]
    assert found[0].reason is GapReason.CHECKSUM
    assert found[0].update.market == market


def test_what_is_proven():
    assert is_proven("kraken", Channel.ORDERBOOK)
    assert not is_proven("kraken", Channel.TRADES)
    assert is_proven("coinbase", Channel.TRADES), "the whole connection is counted"
    assert not is_proven("bitstamp", Channel.ORDERBOOK)
    assert judge_of("bitstamp") is None


def test_every_proven_exchange_has_streams_in_ccxt():
    assert set(ccxt.pro.exchanges) >= PROOFS.keys()
