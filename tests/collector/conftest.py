"""What tests of the collector share: a lake's rows, waiting for what must come, the simulated exchange's configuration."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from pathlib import Path

import ccxt.pro  # noqa: F401  # takes seconds, which belong into nobody's deadline
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fluxforge_collector.config.model import Config
from fluxforge_collector.service import collect

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "binance_spot_20240808"


@pytest.fixture
def until():
    """Wait until a condition holds, or fail at a deadline."""

    async def wait(condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def rows():
    """The bronze rows of a channel in a lake's sealed segments, as dictionaries, in order of arrival."""

    def read(root, channel, source="ccxt"):
        files = sorted(Path(root).glob(f"raw/ready/{source}/{channel}/*.parquet"))
        if not files:
            return []
        found = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
        time = next(name for name in ("capture_ts", "recv_ns", "gap_end") if name in found[0])
        return sorted(found, key=lambda row: row[time])

    return read


@pytest.fixture
def config(tmp_path):
    """A configuration that collects from a simulated exchange, with short segments."""

    def make(simulator, exchanges, *, coinbase=None, **ingestion):
        return Config.model_validate(
            {
                "lake": {"root": str(tmp_path / "lake")},
                "metrics": {"port": 0},
                "ingestion": {"segment_max_seconds": 5, "flush_interval_seconds": 0.2, **ingestion},
                "exchanges": {name: settings | {"base_url": simulator.url} for name, settings in exchanges.items()},
                "coinbase": coinbase and {"messages_per_second": 8} | coinbase | {"base_url": simulator.url},
            }
        )

    return make


@pytest.fixture
def collecting():
    """Run a collector while the block runs; what is given is its tally, then, with the block left, its report."""

    @asynccontextmanager
    async def run(config, **options):
        from fluxforge_collector.metrics import Tally  # noqa: PLC0415

        running = Running(Tally())
        stop = asyncio.Event()
        task = asyncio.create_task(collect(config, stop=stop, tally=running.tally, **options))
        try:
            yield running
        finally:
            stop.set()
            running.report = await task

    return run


class Running:
    """A collector that runs, or ran."""

    def __init__(self, tally):
        self.tally = tally
        self.report = None

    def states(self, exchange):
        return self.tally.records[exchange, "orderbook"]

    def gaps(self, exchange, reason):
        return self.tally.gaps[exchange, reason]


@pytest.fixture
def unused_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def recordings():
    """The folder of the real Binance recordings."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not beside the project")
    return RECORDINGS
