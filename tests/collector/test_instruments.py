"""Names from exchanges are hostile: the path-safe form is a bijection and never a way out of its directory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxforge_collector.errors import InstrumentError
from fluxforge_collector.instruments import Instrument, from_path_safe, path_safe

NAMES = {
    "spot": ("BTC/USDT", "BTC-USDT"),
    "swap": ("BTC/USDT:USDT", "BTC-USDT_USDT"),
    "future": ("BTC/USDT:USDT-241227", "BTC-USDT_USDT-241227"),
    "option": ("BTC/USD:BTC-241227-60000-C", "BTC-USD_BTC-241227-60000-C"),
    "dotted": ("BRK.B/USD", "BRK.B-USD"),
    "dash in a base": ("A-B/USD", "A%2DB-USD"),
    "underscore": ("A_B/USD", "A%5FB-USD"),
    "path": ("../../etc/x", "%2E%2E-%2E%2E-etc-x"),
    "dot": (".", "%2E"),
    "not ASCII": ("币/USDT", "%E5%B8%81-USDT"),
    "percent": ("%2E/USDT", "%252E-USDT"),
}


@pytest.mark.parametrize(("symbol", "safe"), NAMES.values(), ids=NAMES)
def test_names(symbol, safe):
    assert path_safe(symbol) == safe
    assert from_path_safe(safe) == symbol


hostile = st.text(alphabet="Aa0./:-_%2E\\\0 ", min_size=1, max_size=20) | st.text(min_size=1, max_size=20)


@given(hostile)
def test_every_symbol_comes_back_and_stays_in_its_directory(symbol):
    try:
        safe = path_safe(symbol)
    except InstrumentError:
        return
    assert from_path_safe(safe) == symbol
    assert ".." not in safe
    assert not set(safe) & set("/\\\0| ")
    assert not safe.startswith(".")


@given(hostile)
def test_a_name_that_reads_is_the_name_of_what_it_reads_as(name):
    try:
        symbol = from_path_safe(name)
    except InstrumentError:
        return
    assert path_safe(symbol) == name


@pytest.mark.parametrize("symbol", ["", "x" * 201, "\ud800"], ids=["empty", "too long", "lone surrogate"])
def test_what_cannot_be_a_path_is_refused(symbol):
    with pytest.raises(InstrumentError):
        path_safe(symbol)


def test_partition_keys():
    instrument = Instrument("binanceus", "BTC/USDT:USDT")
    assert instrument.key == "binanceus:BTC-USDT_USDT"
    assert Instrument.from_key(instrument.key) == instrument
    for wrong in ("BTC-USDT", "binance us:BTC-USDT", "../x:BTC-USDT", "okx:BTC/USDT", "okx:a|b"):
        with pytest.raises(InstrumentError):
            Instrument.from_key(wrong)
