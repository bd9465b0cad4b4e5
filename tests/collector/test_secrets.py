"""Secrets planted everywhere a secret may stand: none comes out again, in whatever a run leaves or prints."""

import logging
import traceback
from pathlib import Path

import aiohttp
import pyarrow.parquet as pq
import pytest
import structlog
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fluxforge_collector.cli import main
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.logs import set_up_logging
from fluxforge_collector.simulator import Fault, Simulator, SimulatorOptions

VENUES = ("binanceus", "okx", "coinbase")
PLANTED = {
    f"{venue}-{what}": f"PLANTED{number}{what}"
    for number, venue in enumerate(VENUES)
    for what in ("key", "secret", "password")
}
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PLANTED |= {"native-key": "PLANTEDnativekey", "native-secret": PEM.splitlines()[1], "a token": "eyJhbGciOi"}


def configured(root, url, port):
    """A configuration that keeps every secret there can be, and records every frame."""
    return {
        "lake": {"root": str(root)},
        "log_level": "debug",
        "metrics": {"port": port},
        "ingestion": {"segment_max_seconds": 2, "flush_interval_seconds": 0.2, "record_frames": True},
        "exchanges": {
            venue: {
                "symbols": ["BTC/USDT"],
                "base_url": url,
                "credentials": {
                    "api_key": PLANTED[f"{venue}-key"],
                    "secret": PLANTED[f"{venue}-secret"],
                    "password": PLANTED[f"{venue}-password"],
                },
            }
            for venue in VENUES
        },
        "coinbase": {
            "symbols": ["BTC/USDT"],
            "base_url": url,
            "credentials": {"key_name": PLANTED["native-key"], "private_key": PEM},
        },
    }


def found_in(text):
    return [name for name, secret in PLANTED.items() if secret in text]


def texts_of(root):
    """Everything in the files below a directory: as it stands, and tables decoded."""
    for path in Path(root).rglob("*"):
        if path.is_file():
            yield path, path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield path, str(pq.read_table(path).to_pylist())


@pytest.fixture
def _debug_logs():
    before, handlers = structlog.get_config(), logging.root.handlers[:]
    logging.root.handlers.clear()
    set_up_logging("debug", human=False)
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    structlog.configure(**before)


@pytest.mark.asyncio
@pytest.mark.usefixtures("_debug_logs")
async def test_no_secret_is_in_logs_metrics_files_or_the_report(collecting, until, tmp_path, unused_port, capfd):
    async with Simulator(SimulatorOptions(seed=61, speed=3, exchanges=VENUES, instruments=("BTC/USDT",))) as sim:
        file = tmp_path / "fluxforge.yaml"
        file.write_text(yaml.safe_dump(configured(tmp_path / "lake", sim.url, unused_port)))
        settings = load_config(file, {})
        async with collecting(settings) as running, aiohttp.ClientSession() as session:
            # the others ask for their markets with a signature, which the simulated exchange refuses: that is told of
            await until(lambda: min(running.states(venue) for venue in ("binanceus", "coinbase")) > 10, 60)
            for kind in ("malformed", "error_frame", "missing_field"):
                await sim.inject(Fault(kind))
            await sim.inject(Fault("rest_error", code=401, count=20))
            await sim.inject(Fault("abort"))
            await until(lambda: all(running.tally.reconnects[venue] for venue in ("binanceus", "coinbase")), 60)
            await until(lambda: running.tally.segments >= 2, 60)
            async with session.get(f"http://127.0.0.1:{unused_port}/metrics") as answer:
                metrics = await answer.text()
    printed = capfd.readouterr()
    assert len(printed.out + printed.err) > 100
    assert found_in(printed.out + printed.err) == []
    assert found_in(metrics) == []
    assert found_in(str(running.report.to_dict()) + repr(settings)) == []
    for path, text in texts_of(settings.root):
        assert found_in(text) == [], path


def test_no_secret_is_in_what_the_commands_print(tmp_path, capsys):
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(configured(tmp_path / "lake", "http://127.0.0.1:1", 0)))
    main(["config", "check", "--config", str(file)])
    printed = capsys.readouterr()
    assert "binanceus" in printed.out
    assert found_in(printed.out + printed.err) == []


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param({"api_key": ["PLANTED0key"]}, id="of another type"),
        pytest.param({"api_key": {"deep": "PLANTED0key"}}, id="of another shape"),
        pytest.param({"apikey": "PLANTED0key"}, id="under a key with a mistake"),
    ],
)
def test_no_secret_is_in_an_error(mistake, tmp_path):
    values = configured(tmp_path / "lake", "http://127.0.0.1:1", 0)
    values["exchanges"]["binanceus"]["credentials"] = mistake
    file = tmp_path / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError) as raised:
        load_config(file, {})
    assert found_in("".join(traceback.format_exception(raised.value))) == []
