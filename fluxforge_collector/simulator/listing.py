"""Listings: what trades on the simulated exchanges, in integer ticks and lots, and decimal text from them."""

from __future__ import annotations

from typing import NamedTuple

from fluxforge_collector.errors import InstrumentError


class Listing(NamedTuple):
    """An instrument as listed: prices are integers of 10^-price_digits, sizes of 10^-size_digits.

    `price` is where the simulated flow starts, `half_spread_bps` its usual half spread, `trades_per_s` its usual pace.
    """

    base: str
    quote: str
    price_digits: int
    size_digits: int
    price: float
    half_spread_bps: float
    trades_per_s: float

    @property
    def symbol(self) -> str:
        """The symbol in ccxt's spelling."""
        return f"{self.base}/{self.quote}"

    def price_text(self, ticks: int) -> str:
        """Decimal text of a price."""
        return decimal_text(ticks, self.price_digits)

    def size_text(self, lots: int) -> str:
        """Decimal text of a size."""
        return decimal_text(lots, self.size_digits)


_BASES = {
    "BTC": (2, 5, 61_700.0, 0.30, 2.5),
    "ETH": (2, 4, 2_680.0, 0.35, 2.0),
    "SOL": (3, 3, 154.0, 0.8, 1.4),
    "XRP": (5, 1, 0.592, 1.2, 1.0),
    "DOGE": (6, 0, 0.1043, 1.5, 0.8),
    "BNB": (2, 3, 512.0, 1.0, 0.8),
    "ADA": (5, 1, 0.339, 2.0, 0.6),
    "AVAX": (3, 2, 21.6, 1.8, 0.6),
    "LINK": (4, 2, 10.3, 1.8, 0.6),
    "LTC": (3, 3, 59.8, 1.8, 0.5),
    "DOT": (4, 2, 4.71, 2.2, 0.5),
    "BCH": (2, 3, 345.0, 2.0, 0.4),
    "UNI": (4, 2, 6.05, 2.4, 0.4),
    "AAVE": (3, 3, 98.4, 2.4, 0.4),
    "ATOM": (4, 2, 4.62, 2.4, 0.4),
    "NEAR": (4, 1, 3.88, 2.4, 0.4),
    "FIL": (4, 2, 3.61, 2.6, 0.3),
    "XLM": (6, 0, 0.0992, 2.6, 0.3),
    "ETC": (3, 2, 19.2, 2.6, 0.3),
    "ALGO": (5, 1, 0.124, 2.8, 0.3),
}
_QUOTES = ("USDT", "USD", "USDC")

DEFAULT_SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "DOGE/USDT")


def decimal_text(units: int, digits: int) -> str:
    """Decimal text of an integer count of 10^-digits: `decimal_text(1050, 2)` gives `10.50`."""
    if not digits:
        return str(units)
    text = str(units).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


def find_listing(symbol: str) -> Listing:
    """The listing of a ccxt symbol. Raises: InstrumentError where the simulated market does not list it."""
    base, _, quote = symbol.partition("/")
    if base not in _BASES or quote not in _QUOTES:
        raise InstrumentError(
            f"the simulated exchange does not list {symbol!r}",
            f"choose a base of {', '.join(_BASES)} and a quote of {', '.join(_QUOTES)}, such as BTC/USDT",
        )
    return Listing(base, quote, *_BASES[base])
