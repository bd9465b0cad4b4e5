"""Instruments and their safe names: the one place where a name from an exchange becomes part of a path.

Names come from exchanges, so they are hostile input. The path-safe form is a bijection of ccxt's symbol
`BASE/QUOTE[:SETTLE[-EXPIRY…]]`: the first `:` becomes `_`; before it `/` becomes `-`, after it `-` stays `-`; letters,
digits and a `.` between two of them stay; every other byte of the UTF-8 name is percent-encoded. No result holds
`..`, a separator or nothing at all.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from fluxforge_collector.errors import InstrumentError

_UNSAFE = re.compile(rb"[^A-Za-z0-9.]|(?<![A-Za-z0-9])\.|\.(?![A-Za-z0-9])")
_SAFE = re.compile(r"(?:[A-Za-z0-9.\-_]|%[0-9A-F]{2})+\Z")
_EXCHANGE = re.compile(r"[a-z0-9]+\Z")
_MAX_BYTES = 200  # a path component may hold 255


def _encode(part: bytes, plain: bytes) -> str:
    """Percent-encode all but the byte `plain`, which becomes `-`."""
    return _UNSAFE.sub(lambda m: b"-" if m[0] == plain else b"%%%02X" % m[0][0], part).decode()


def path_safe(symbol: str) -> str:
    """The path-safe form of a ccxt symbol: `BTC/USDT:USDT-241227` gives `BTC-USDT_USDT-241227`.

    Raises: InstrumentError for an empty name, one that is not valid Unicode, or one too long for a path.
    """
    try:
        market, colon, contract = symbol.encode().partition(b":")
    except UnicodeEncodeError as error:
        raise InstrumentError(f"symbol {symbol!r} is not valid Unicode", "correct the symbol") from error
    safe = _encode(market, b"/") + ("_" + _encode(contract, b"-") if colon else "")
    if not safe or len(safe) > _MAX_BYTES:
        raise InstrumentError(f"symbol {symbol[:40]!r} is empty or too long for a path", "correct the symbol")
    return safe


def from_path_safe(name: str) -> str:
    """The ccxt symbol of a path-safe name; the inverse of `path_safe`.

    Raises: InstrumentError where `name` is not what `path_safe` gives for any symbol.
    """
    problem = InstrumentError(f"{name!r} is no path-safe symbol", "write it like BTC-USDT")
    if not _SAFE.match(name):
        raise problem
    try:
        market, underscore, contract = name.partition("_")
        symbol = unquote_to_bytes(market.replace("-", "/") + (":" if underscore else "") + contract).decode()
    except UnicodeDecodeError as error:
        raise problem from error
    if path_safe(symbol) != name:
        raise problem
    return symbol


def check_exchange(exchange: str) -> str:
    """The exchange id itself when it is lower-case letters and digits, as ccxt's ids are.

    Raises: InstrumentError otherwise.
    """
    if not _EXCHANGE.match(exchange) or len(exchange) > _MAX_BYTES:
        raise InstrumentError(f"{exchange!r} is no exchange id", "use ccxt's id, such as binanceus")
    return exchange


class Instrument(NamedTuple):
    """An exchange and one of its symbols, in ccxt's spelling."""

    exchange: str
    symbol: str

    @property
    def safe_symbol(self) -> str:
        """The symbol as it stands in paths and in processed columns."""
        return path_safe(self.symbol)

    @property
    def key(self) -> str:
        """The partition key, such as `binanceus:BTC-USDT`."""
        return f"{check_exchange(self.exchange)}:{self.safe_symbol}"

    @classmethod
    def from_key(cls, key: str) -> Instrument:
        """The instrument of a partition key. Raises: InstrumentError where `key` is none."""
        exchange, colon, safe = key.partition(":")
        if not colon:
            raise InstrumentError(f"{key!r} is no instrument", "write it like binanceus:BTC-USDT")
        return cls(check_exchange(exchange), from_path_safe(safe))
