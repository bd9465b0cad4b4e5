"""What the demo writes before it starts: a configuration and a Dagster home under one root."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument

GENERATED = {"binanceus": ["BTC/USDT", "ETH/USDT", "SOL/USDT"], "okx": ["BTC/USDT", "ETH/USDT"]}
RECORDED = {"binanceus": ["BTC/USDT", "ETH/USDT"]}
CHANNELS = ("orderbook", "trades", "ticker")
RECORDED_CHANNELS = ("orderbook", "trades")
_HOME_KEYS = ("compute_logs", "local_artifact_storage", "schedule_storage", "run_storage")


@dataclass(frozen=True)
class Layout:
    """Where the demo keeps things; everything lies under `root`, an absolute path."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration every process reads."""
        return self.root / "fluxforge.yaml"

    @property
    def lake(self) -> Path:
        """The lake's root."""
        return self.root / "lake"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home: its database and logs."""
        return self.root / "dagster"

    @property
    def workspace(self) -> Path:
        """The workspace file: one code server."""
        return self.dagster_home / "workspace.yaml"

    def log(self, name: str) -> Path:
        """What a process printed."""
        return self.root / "logs" / f"{name}.log"


def exchanges_of(captures: Sequence[Path]) -> dict[str, list[str]]:
    """What to collect, per exchange: the generated market, or the symbols that the captures' names begin with."""
    if not captures:
        return GENERATED
    named = " ".join(capture.name.lower() for capture in captures)
    symbols = [s for s in RECORDED["binanceus"] if s.replace("/", "").lower() in named]
    return {"binanceus": symbols or RECORDED["binanceus"]}


def instruments_of(exchanges: Mapping[str, Sequence[str]]) -> list[str]:
    """The partition keys of what is collected."""
    return [Instrument(exchange, symbol).key for exchange, symbols in exchanges.items() for symbol in symbols]


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(
    layout: Layout,
    *,
    exchanges: Mapping[str, Sequence[str]],
    exchange_port: int,
    code_port: int,
    channels: Sequence[str] = CHANNELS,
) -> None:
    """Write configuration and Dagster home. Raises: FluxForgeError where the root cannot be written."""
    try:
        for folder in (layout.lake, layout.dagster_home, layout.log("x").parent):
            folder.mkdir(parents=True, exist_ok=True)
        layout.config.write_text(yaml.safe_dump(_config(layout, exchanges, exchange_port, channels), sort_keys=False))
        (layout.dagster_home / "dagster.yaml").write_text(
            yaml.safe_dump(_profile(layout.dagster_home), sort_keys=False)
        )
        server = {"host": "127.0.0.1", "port": code_port, "location_name": "fluxforge"}
        layout.workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    except OSError as error:
        raise FluxForgeError(f"cannot write {layout.root}: {error}", "name a writable folder with --root") from None


def _config(
    layout: Layout, exchanges: Mapping[str, Sequence[str]], port: int, channels: Sequence[str]
) -> dict[str, Any]:
    """A configuration for quick results: short segments, runs as often as they finish."""
    return {
        "lake": {"root": str(layout.lake)},
        "ingestion": {"flush_interval_seconds": 1.0, "segment_max_seconds": 10, "collector": "demo"},
        "exchanges": {
            name: {
                "symbols": {channel: list(symbols) for channel in channels},
                "base_url": f"http://127.0.0.1:{port}",
            }
            for name, symbols in exchanges.items()
        },
        "etl": {"min_run_interval_seconds": 5, "stay_seconds": 0},
        "metrics": {"port": 0},
    }


def _profile(home: Path) -> dict[str, Any]:
    """The repository's `dagster.yaml`, with its storage moved to the demo's own home."""
    file = Path(__file__).parents[2] / "dagster.yaml"
    if not file.is_file():
        raise FluxForgeError("the demo runs from a checkout, and there is no dagster.yaml here", "clone FluxForge")
    profile: dict[str, Any] = yaml.safe_load(file.read_text())
    profile["storage"]["custom"]["config"] = {"base_dir": str(home)}
    return {key: value for key, value in profile.items() if key not in _HOME_KEYS}
