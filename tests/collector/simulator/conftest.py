"""Real ccxt.pro clients that talk to a simulated exchange, and waiting for what they see."""

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path

import ccxt.pro as ccxt
import pytest

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "binance_spot_20240808"


def rewritten(urls, base):
    """A ccxt URL tree with every host as the first path segment of the simulator's address."""
    if isinstance(urls, dict):
        return {key: rewritten(value, base) for key, value in urls.items()}
    if isinstance(urls, str):
        for scheme, local in (("https://", base), ("wss://", base.replace("http", "ws", 1))):
            if urls.startswith(scheme):
                return f"{local}/{urls.removeprefix(scheme)}"
    return urls


@pytest.fixture
def client():
    """An unmodified ccxt.pro client of an exchange, with only its URLs rewritten; closed with its watchers."""

    @asynccontextmanager
    async def connect(simulator, exchange):
        ex = getattr(ccxt, exchange)()
        ex.urls["api"] = rewritten(ex.urls["api"], simulator.url)
        try:
            await ex.load_markets()
            yield ex
        finally:
            await ex.close()

    return connect


@pytest.fixture
def until():
    """Wait until a condition holds, or fail at a deadline."""

    async def wait(condition, seconds=15.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def watching():
    """Keep watch calls going while the block runs; what they return is given to `seen`, errors to `errors`."""

    @asynccontextmanager
    async def run(*calls):
        seen, errors = [], []

        async def keep(call):
            while True:
                try:
                    seen.append(await call())
                except ccxt.BaseError as error:
                    errors.append(error)

        tasks = [asyncio.create_task(keep(call)) for call in calls]
        try:
            yield seen, errors
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return run


@pytest.fixture
def recordings():
    """The real Binance recordings, in no particular order."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not beside the project")
    return tuple(sorted(RECORDINGS.glob("*.gz")))
