"""What Coinbase lists: the symbols, their product ids, and under which id their data comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

from fluxforge_collector.errors import DataError

URL = "https://api.coinbase.com/api/v3/brokerage/market/products?product_type=SPOT"


class Product(NamedTuple):
    """A listed product: the id to ask for, and the one that its data bears: of `BTC-USDC` that is `BTC-USD`."""

    asked_id: str
    delivered_id: str


class _Listed(msgspec.Struct):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    alias: str = ""


class _Listing(msgspec.Struct):
    products: list[msgspec.Raw]


def read_products(body: bytes) -> dict[str, Product]:
    """Products by symbol; one that is not whole is left out. Raises: DataError where the answer is no list of them."""
    try:
        listing = msgspec.json.decode(body, type=_Listing)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DataError(f"no list of products: {error}") from None
    products: dict[str, Product] = {}
    for raw in listing.products:
        with suppress(msgspec.MsgspecError, RecursionError):
            listed = msgspec.json.decode(raw, type=_Listed)
            symbol = f"{listed.base_currency_id}/{listed.quote_currency_id}"
            products[symbol] = Product(listed.product_id, listed.alias or listed.product_id)
    if not products:
        raise DataError("no list of products: none of them is whole")
    return products


def doubled(symbols: Iterable[str], products: Mapping[str, Product]) -> dict[str, str]:
    """Symbols whose data comes under an id that another one has already, and that other one: it would come twice."""
    first: dict[str, str] = {}
    named = [symbol for symbol in symbols if symbol in products]
    # the one that bears its own name keeps it
    for symbol in sorted(named, key=lambda symbol: products[symbol].asked_id != products[symbol].delivered_id):
        first.setdefault(products[symbol].delivered_id, symbol)
    return {s: first[products[s].delivered_id] for s in named if first[products[s].delivered_id] != s}
