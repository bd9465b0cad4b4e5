"""A running Dagster over a small lake, as a user starts it, and a real browser on its page."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.market import NOON_US, config_of, records, seal

from fluxforge_assets.lake.paths import Lake

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 300
DAY_US = 86_400_000_000


@dataclass
class Platform:
    """`dagster dev` over a lake: its address, its process, its files."""

    folder: Path
    url: str = ""
    process: subprocess.Popen | None = None

    @property
    def lake(self):
        return Lake(self.folder / "lake")

    @property
    def environment(self):
        """What a user's shell would hold."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FLUXFORGE")}
        own = {"DAGSTER_HOME": str(self.folder), "FLUXFORGE_CONFIG": str(self.folder / "fluxforge.yaml")}
        return {**kept, **own, "PYTHONWARNINGS": "ignore", "PATH": f"{BIN}:{kept['PATH']}"}

    def configure(self, **options):
        """Write the configuration; what runs reads it when it is loaded again."""
        config = json.loads(config_of(self.lake.root, **options).model_dump_json())
        config["etl"]["gold"]["refresh_minutes"] = 1
        (self.folder / "fluxforge.yaml").write_text(yaml.safe_dump(config))

    def start(self):
        """Start it, and wait until its code is loaded."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        command = [str(BIN / "dagster"), "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", port]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self.wait(lambda: "RepositoryLocation" in json.dumps(self.ask(_LOADED)), "the code is loaded")

    @property
    def log(self):
        return self.folder / "dev.log"

    def wait(self, condition, what):
        """Wait until something holds. Raises: AssertionError with the end of the log."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, f"{what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.5)

    def ask(self, query, **variables):
        """What GraphQL answers; nothing while it does not."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response).get("data") or {}
        except OSError:
            return {}

    def partitions(self, asset):
        """Partitions of an asset with a materialisation."""
        nodes = self.ask(_MATERIALISED, key={"path": asset.split("/")}).get("assetNodes", [])
        return {event["partition"] for node in nodes for event in node["assetMaterializations"]}

    def check(self, asset, name):
        """How a check of an asset came out last; None before that."""
        nodes = self.ask(_CHECKS, key={"path": asset.split("/")}).get("assetNodes", [])
        found = {c["name"]: c for node in nodes for c in node["assetChecksOrError"].get("checks", [])}
        execution = found.get(name, {}).get("executionForLatestMaterialization")
        return execution and execution["status"]

    def stop(self):
        """End it, and whatever it started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


_LOADED = "{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
_CHECKS = """query($key: AssetKeyInput!) { assetNodes(assetKeys: [$key]) { assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } }"""
_MATERIALISED = """query($key: AssetKeyInput!) {
  assetNodes(assetKeys: [$key]) { assetMaterializations(limit: 200) { partition } } }"""


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """Two days of a market, landed and computed by the daemon itself."""
    made = Platform(tmp_path_factory.mktemp("platform"))
    (made.folder / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    made.configure()
    for number in range(2):
        start_us = NOON_US + number * DAY_US
        seal(made.lake.root, records(number, start_us=start_us, seconds=900), segment_seconds=300)
    made.start()
    try:
        made.wait(lambda: len(made.partitions("gold/bars")) == 6, "bars of both days")
        made.wait(lambda: len(made.partitions("gold/vpin")) > 0, "the refreshed tables")
        yield made
    finally:
        made.stop()
