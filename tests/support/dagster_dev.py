"""Dagster as the README starts it, over a small lake of its own, and what its GraphQL says."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import yaml

from fluxforge_assets.lake.paths import Lake
from support.market import config_of

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 300
(COMMAND,) = re.findall(r"^(\.venv/bin/dagster dev .*?) +#", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


@dataclass
class Platform:
    """A directory that looks like a checkout, with a lake; `dagster dev` over it, and its address."""

    folder: Path
    url: str = ""
    process: subprocess.Popen | None = None

    def __post_init__(self):
        for name in ("workspace.yaml", "dagster.yaml"):
            (self.folder / name).write_text((ROOT / name).read_text())
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        self.configure()

    @property
    def lake(self):
        return Lake(self.folder / "lake")

    @property
    def environment(self):
        """What a user's shell holds after `export DAGSTER_HOME=$PWD`, and nothing of this machine's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FLUXFORGE")}
        return {**kept, "DAGSTER_HOME": str(self.folder), "PYTHONWARNINGS": "ignore"}

    def configure(self, **options):
        """Write the configuration; what runs reads it when it is loaded again."""
        config = json.loads(config_of(self.lake.root, **options).model_dump_json())
        config["etl"]["gold"]["refresh_minutes"] = 1
        (self.folder / "fluxforge.yaml").write_text(yaml.safe_dump(config))

    def start(self):
        """Start it with the README's command, and wait until its code is loaded."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                f"exec {COMMAND} -p {port}", shell=True, cwd=self.folder, env=self.environment,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait(lambda: "RepositoryLocation" in json.dumps(self.ask(_LOADED)), "the code is loaded")

    @property
    def log(self):
        return self.folder / "dev.log"

    def run(self, *command):
        """What a command says that a user types beside it, and that went well."""
        done = subprocess.run(
            [f".venv/bin/{command[0]}", *command[1:]],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

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
        """How a check of an asset came out last, and the numbers it shows; nothing before that."""
        nodes = self.ask(_CHECKS, key={"path": asset.split("/")}).get("assetNodes", [])
        found = {c["name"]: c for node in nodes for c in node["assetChecksOrError"].get("checks", [])}
        execution = found.get(name, {}).get("executionForLatestMaterialization")
        if not execution or not execution["evaluation"]:
            return execution and execution["status"], {}
        shown = execution["evaluation"]["metadataEntries"]
        return execution["status"], {e["label"]: e.get("intValue", e.get("text")) for e in shown}

    def reload(self):
        """What the page's button Reload does: the code is loaded again, under the configuration that holds now."""
        assert self.ask(_RELOAD)["reloadRepositoryLocation"]["__typename"] == "WorkspaceLocationEntry"

    def stop(self):
        """End it, and whatever it started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


_LOADED = "{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
_RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "fluxforge") { __typename } }'
_CHECKS = """query($key: AssetKeyInput!) { assetNodes(assetKeys: [$key]) { assetChecksOrError {
  ... on AssetChecks { checks { name executionForLatestMaterialization { status evaluation { metadataEntries {
    label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text } } } } } } } } }"""
_MATERIALISED = """query($key: AssetKeyInput!) {
  assetNodes(assetKeys: [$key]) { assetMaterializations(limit: 200) { partition } } }"""
