"""ccxt with its exchanges imported when named: the same classes under the same names, and no others."""

import json
import subprocess
import sys

import ccxt.pro

LAZILY = "from fluxforge_collector.exchanges.lazy_ccxt import import_exchanges_lazily\nimport_exchanges_lazily()\n"

ALL = """
import json
import ccxt, ccxt.pro
packages = [ccxt, ccxt.async_support, ccxt.pro]
print(json.dumps([{
    "exchanges": package.exchanges,
    "classes": [[str(base) for base in getattr(package, name).__mro__] for name in package.exchanges],
    "names": sorted(name for name in vars(package) if not name.startswith("__")),
} for package in packages]))
"""

ONE = """
import sys
import ccxt.pro
known = set(ccxt.exchanges)
print(ccxt.pro.binanceus.__name__, *sorted({name.rpartition(".")[2] for name in sys.modules if name.startswith("ccxt.")} & known))
try: ccxt.pro.binanseus
except AttributeError as error: print(error)
"""

FROM = """
from ccxt.pro import kraken
from ccxt.async_support.kraken import kraken as rest
import ccxt.async_support
print(issubclass(kraken, rest), ccxt.async_support.kraken is rest)
"""


def printed(code, *, lazily=True):
    done = subprocess.run(
        [sys.executable, "-c", LAZILY * lazily + code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_every_exchange_is_the_class_ccxt_has_under_that_name():
    assert json.loads(printed(ALL)) == json.loads(printed(ALL, lazily=False))


def test_an_exchange_brings_only_those_it_is_made_of():
    first, error = printed(ONE).splitlines()
    assert first == "binanceus binance binanceus"
    assert error == "module 'ccxt.pro' has no attribute 'binanseus'"


def test_importing_a_module_leaves_the_class_in_its_package():
    assert printed(FROM) == "True True\n"


def test_a_ccxt_that_is_here_already_stays_as_it_is():
    here = (
        "import ccxt.pro\n"
        + LAZILY
        + "import sys, ccxt.pro as again\nprint(len(again.exchanges), 'ccxt.pro.kraken' in sys.modules)"
    )
    assert printed(here, lazily=False) == f"{len(ccxt.pro.exchanges)} True\n"
