"""From ccxt's structures to records."""

import pytest

from fluxforge_collector.exchanges.normalise import (
    Contract,
    Stamp,
    book_record,
    contract_of,
    flat_levels,
    ticker_record,
    trade_record,
)

STAMP = Stamp(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("side", "depth", "contract", "flat"),
    [
        pytest.param([], 5, None, [], id="empty"),
        pytest.param([[10.0, 1.0], [9.0, 2.0]], 1, None, [10.0, 1.0], id="sliced"),
        pytest.param([[10.0, 1.0, 7]], 5, None, [10.0, 1.0], id="a count beside"),
        pytest.param([[10.0, 1.0]], 5, Contract(0.01, is_inverse=False), [10.0, 0.01], id="linear"),
        pytest.param([[10.0, 1.0]], 5, Contract(100.0, is_inverse=True), [10.0, 10.0], id="inverse"),
    ],
)
def test_levels_by_value(side, depth, contract, flat):
    got = flat_levels(side, depth, contract)
    assert got == flat
    for level in side:
        level[1] = -1.0
    assert got == flat


@pytest.mark.parametrize(
    ("market", "contract"),
    [
        ({}, None),
        ({"contract": False, "contractSize": 5}, None),
        ({"contract": True, "contractSize": 1.0, "inverse": False}, None),
        ({"contract": True, "contractSize": 0.1, "inverse": False}, Contract(0.1, is_inverse=False)),
        ({"contract": True, "contractSize": 1.0, "inverse": True}, Contract(1.0, is_inverse=True)),
    ],
)
def test_contracts(market, contract):
    assert contract_of(market) == contract


def test_a_book():
    book = {"bids": [[10.0, 1.0]], "asks": [], "timestamp": None, "nonce": 7}
    record = book_record(book, "x", "A/B", STAMP, nonce=7, depth=5, contract=None)
    assert record == ("x", "A/B", 1, 2, None, 7, [10.0, 1.0], [], 3, 4)


def test_a_trade_in_base_units():
    trade = {"id": 5, "timestamp": 9, "side": "sell", "price": 50.0, "amount": 3.0, "cost": 150.0, "info": {}}
    plain = trade_record(trade, "x", "A/B", None, STAMP)
    assert (plain.trade_id, plain.side, plain.price, plain.amount, plain.cost) == ("5", "sell", 50.0, 3.0, 150.0)
    inverse = trade_record(trade, "x", "A/B", Contract(100.0, is_inverse=True), STAMP)
    assert (inverse.amount, inverse.cost) == (6.0, 300.0)
    assert not plain.backfilled


@pytest.mark.parametrize("missing", ["price", "amount"])
def test_a_trade_without_a_number_is_refused(missing):
    trade = {"id": "5", "price": 50.0, "amount": 3.0} | {missing: None}
    with pytest.raises(TypeError):
        trade_record(trade, "x", "A/B", None, STAMP)


def test_a_ticker_with_nothing_in_it():
    record = ticker_record({"symbol": "A/B"}, "x", "A/B", Contract(0.1, is_inverse=False), STAMP)
    assert set(record[4:20]) == {None}


def test_a_ticker_in_base_units():
    ticker = {"bid": 10.0, "ask": 20.0, "bidVolume": 5.0, "askVolume": 5.0, "last": 15.0, "baseVolume": 3.0}
    record = ticker_record(ticker, "x", "A/B", Contract(100.0, is_inverse=True), STAMP)
    assert (record.bid_volume, record.ask_volume, record.base_volume) == (50.0, 25.0, 3.0)
