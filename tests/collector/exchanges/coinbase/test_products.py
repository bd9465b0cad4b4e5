"""What is listed, and under which id its data comes."""

import json

import pytest

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.coinbase.products import Product, doubled, read_products

LISTED = {
    "products": [
        {"product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "alias": "", "price": "1"},
        {"product_id": "BTC-USDC", "base_currency_id": "BTC", "quote_currency_id": "USDC", "alias": "BTC-USD"},
        {"product_id": "USDT-USDC", "base_currency_id": "USDT", "quote_currency_id": "USDC"},
    ],
    "num_products": 3,
}


def test_an_alias_comes_under_the_name_of_its_twin():
    assert read_products(json.dumps(LISTED).encode()) == {
        "BTC/USD": Product("BTC-USD", "BTC-USD"),
        "BTC/USDC": Product("BTC-USDC", "BTC-USD"),
        "USDT/USDC": Product("USDT-USDC", "USDT-USDC"),
    }


def test_a_product_that_is_not_whole_hides_none_of_the_others():
    broken = [
        {},
        1,
        None,
        {"product_id": "X"},
        {"product_id": ["X"], "base_currency_id": "X", "quote_currency_id": "Y"},
    ]
    body = json.dumps({"products": [*broken, *LISTED["products"]]}).encode()
    assert read_products(body) == read_products(json.dumps(LISTED).encode())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["BTC/USD", "BTC/USDC"], {"BTC/USDC": "BTC/USD"}),
        (["BTC/USDC", "BTC/USD"], {"BTC/USDC": "BTC/USD"}),
        (["BTC/USDC", "USDT/USDC"], {}),
        (["BTC/USDC", "NO/SUCH"], {}),
        ([], {}),
    ],
)
def test_one_of_two_names_of_the_same_data_is_doubled(asked, expected):
    assert doubled(asked, read_products(json.dumps(LISTED).encode())) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"products": 1}', b'{"products": [{"product_id": "X"}]}', b'{"products": []}']
)
def test_another_answer_is_refused(body):
    with pytest.raises(DataError, match="no list of products"):
        read_products(body)
