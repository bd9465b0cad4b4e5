"""Continuity: what the wire says, read from real messages, and the verdict on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.sequence import READERS, Update, Verdict, judge, read_binance, read_okx

SPOT = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 157, "u": 160, "b": [], "a": []}
OKX = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": "update"}


@pytest.mark.parametrize(
    ("read", "message", "updates"),
    [
        pytest.param(read_binance, SPOT, (Update("BTCUSDT", 156, 160),), id="spot"),
        pytest.param(read_binance, {"stream": "x", "data": SPOT}, (Update("BTCUSDT", 156, 160),), id="combined stream"),
        pytest.param(read_binance, SPOT | {"pu": 149}, (Update("BTCUSDT", 149, 160),), id="futures"),
        pytest.param(read_binance, {"e": "trade", "s": "BTCUSDT"}, (), id="a trade"),
        pytest.param(read_binance, {"result": None, "id": 1}, (), id="acknowledgement"),
        pytest.param(read_binance, [SPOT], (), id="a list"),
        pytest.param(read_binance, "text", (), id="text"),
        pytest.param(read_okx, OKX | {"data": [{"seqId": 5, "prevSeqId": 3}]}, (Update("BTC-USDT", 3, 5),), id="okx update"),
        pytest.param(read_okx, OKX | {"action": "snapshot", "data": [{"seqId": 5, "prevSeqId": -1}]}, (Update("BTC-USDT", None, 5),), id="okx snapshot"),
        pytest.param(read_okx, OKX | {"data": [{"seqId": 5, "prevSeqId": 3}, {"seqId": 6, "prevSeqId": 5}]}, (Update("BTC-USDT", 3, 5), Update("BTC-USDT", 5, 6)), id="okx two in a frame"),
        pytest.param(read_okx, OKX | {"data": [{"ts": "1"}]}, (), id="okx of 2022, without ids"),
        pytest.param(read_okx, {"event": "subscribe", "arg": {"channel": "books"}}, (), id="okx acknowledgement"),
        pytest.param(read_okx, {"arg": {"channel": "trades"}, "data": []}, (), id="okx trades"),
        pytest.param(read_okx, "pong", (), id="okx pong"),
    ],
)  # fmt: skip
def test_what_a_message_carries(read, message, updates):
    assert read(message) == updates


@pytest.mark.parametrize(
    ("last", "previous", "own", "verdict"),
    [
        pytest.param(None, 5, 9, Verdict.FOLLOWS, id="the first"),
        pytest.param(9, None, 3, Verdict.FOLLOWS, id="a snapshot, whatever its id"),
        pytest.param(9, 9, 12, Verdict.FOLLOWS, id="the next"),
        pytest.param(9, 9, 3, Verdict.FOLLOWS, id="ids restart"),
        pytest.param(9, 9, 9, Verdict.FOLLOWS, id="keep-alive without change"),
        pytest.param(9, 5, 9, Verdict.REPEATS, id="the same again"),
        pytest.param(9, 2, 4, Verdict.REPEATS, id="an older one"),
        pytest.param(9, 10, 12, Verdict.BREAKS, id="one is missing"),
        pytest.param(9, 7, 12, Verdict.BREAKS, id="overlap"),
    ],
)
def test_verdicts(last, previous, own, verdict):
    assert judge(last, Update("m", previous, own)) is verdict


@given(st.lists(st.integers(1, 5), min_size=2, max_size=50), st.data())
def test_leaving_out_one_update_is_always_seen(lengths, data):
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    updates = [Update("m", end - length, end) for end, length in zip(ends, lengths, strict=True)]
    missing = data.draw(st.integers(0, len(updates) - 2))
    last, verdicts = 0, []
    for index, update in enumerate(updates):
        if index == missing:
            continue
        verdicts.append(judge(last, update))
        last = update.last
    assert verdicts.count(Verdict.BREAKS) == 1
    assert verdicts[missing] is Verdict.BREAKS


def test_exchanges_without_a_reader_are_unproven():
    assert "kraken" not in READERS
    assert {"binanceus", "okx"} <= READERS.keys()
