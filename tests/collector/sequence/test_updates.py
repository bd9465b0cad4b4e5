"""Continuity: what the wire says, read from real messages, and the verdict on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.sequence.updates import (
    Update,
    Verdict,
    compare,
    read_binance,
    read_bybit,
    read_coinbase,
    read_okx,
)

BOOK = {"bids": [], "asks": []}
BYBIT = {"topic": "orderbook.50.BTCUSDT", "type": "delta", "ts": 1}
COINBASE = {"channel": "l2_data", "sequence_num": 7}
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
        pytest.param(read_okx, OKX | {"data": [BOOK | {"seqId": 5, "prevSeqId": 3}]}, (Update("BTC-USDT", 3, 5),), id="okx update"),
        pytest.param(read_okx, OKX | {"action": "snapshot", "data": [BOOK | {"seqId": 5, "prevSeqId": -1}]}, (Update("BTC-USDT", None, 5),), id="okx snapshot"),
        pytest.param(read_okx, OKX | {"data": [BOOK | {"seqId": 5, "prevSeqId": 3}, BOOK | {"seqId": 6, "prevSeqId": 5}]}, (Update("BTC-USDT", 3, 5), Update("BTC-USDT", 5, 6)), id="okx two in a frame"),
        pytest.param(read_okx, OKX | {"data": [BOOK | {"ts": "1"}]}, (), id="okx of 2022, without ids"),
        pytest.param(read_okx, {"event": "subscribe", "arg": {"channel": "books"}}, (), id="okx acknowledgement"),
        pytest.param(read_okx, {"arg": {"channel": "trades"}, "data": []}, (), id="okx trades"),
        pytest.param(read_okx, "pong", (), id="okx pong"),
        pytest.param(read_bybit, BYBIT | {"data": {"s": "BTCUSDT", "b": [], "a": [], "u": 8}}, (Update("BTCUSDT", 7, 8),), id="bybit update"),
        pytest.param(read_bybit, BYBIT | {"type": "snapshot", "data": {"s": "BTCUSDT", "b": [], "a": [], "u": 8}}, (Update("BTCUSDT", None, 8),), id="bybit snapshot"),
        pytest.param(read_bybit, BYBIT | {"data": {"s": "BTCUSDT", "b": [], "a": [], "u": 1}}, (Update("BTCUSDT", None, 1),), id="bybit service restarted"),
        pytest.param(read_bybit, {"topic": "publicTrade.BTCUSDT", "data": []}, (), id="bybit trades"),
        pytest.param(read_bybit, {"op": "pong", "success": True}, (), id="bybit pong"),
        pytest.param(read_bybit, {"topic": None}, (), id="bybit without topic"),
        pytest.param(read_coinbase, COINBASE | {"events": []}, (Update(None, 6, 7),), id="coinbase book"),
        pytest.param(read_coinbase, {"channel": "subscriptions", "sequence_num": 0, "events": []}, (Update(None, -1, 0),), id="coinbase control frame"),
        pytest.param(read_coinbase, {"type": "error", "message": "no"}, (), id="coinbase error"),
    ],
)  # fmt: skip
def test_what_a_message_carries(read, message, updates):
    assert read(message) == updates


@pytest.mark.parametrize(
    ("read", "message"),
    [
        pytest.param(read_binance, {k: v for k, v in SPOT.items() if k != "a"}, id="binance without asks"),
        pytest.param(read_okx, OKX | {"data": [{"bids": [], "seqId": 5, "prevSeqId": 3}]}, id="okx without asks"),
        pytest.param(read_okx, OKX | {"data": [BOOK | {"seqId": 5}]}, id="okx without the id before"),
        pytest.param(read_bybit, BYBIT | {"data": {"s": "BTCUSDT", "b": [], "u": 8}}, id="bybit without asks"),
        pytest.param(read_coinbase, COINBASE | {"events": [{"updates": [{"side": "bid", "price_level": "1"}]}]}, id="coinbase without a size"),
    ],
)  # fmt: skip
def test_changes_that_are_not_all_there_are_no_update(read, message):
    with pytest.raises(KeyError):
        read(message)


@pytest.mark.parametrize(
    ("price", "size"), [("NaN", "1"), ("-1", "1"), ("0", "1"), ("1e999", "1"), ("1", "NaN"), ("1", "-1")]
)
def test_a_level_that_cannot_be_is_no_update(price, size):
    level = {"side": "bid", "price_level": price, "new_quantity": size}
    with pytest.raises(ValueError, match="a level of price"):
        read_coinbase(COINBASE | {"events": [{"updates": [level]}]})


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
    assert compare(last, Update("m", previous, own)) is verdict


@given(st.lists(st.integers(1, 5), min_size=2, max_size=50), st.data())
def test_leaving_out_one_update_is_always_seen(lengths, data):
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    updates = [Update("m", end - length, end) for end, length in zip(ends, lengths, strict=True)]
    missing = data.draw(st.integers(0, len(updates) - 2))
    last, verdicts = 0, []
    for index, update in enumerate(updates):
        if index == missing:
            continue
        verdicts.append(compare(last, update))
        last = update.last
    assert verdicts.count(Verdict.BREAKS) == 1
    assert verdicts[missing] is Verdict.BREAKS
