"""The collector's own installation, made from its lock as its image is: it collects, and knows no Dagster and no polars."""

import json
import subprocess
import sys

import pytest
import yaml

from fluxforge_collector.simulator import Simulator, SimulatorOptions

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(600)]
FOREIGN = ("dagster", "polars", "numba", "numpy", "matplotlib")
TRACED = """
import sys
from fluxforge_collector.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted(sys.modules), file=open("modules.txt", "w"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory, root):
    """An environment with nothing but what the collector's lock names, and the package."""
    folder = tmp_path_factory.mktemp("lean")
    uv = root / ".venv" / "bin" / "uv"
    python = folder / "venv" / "bin" / "python"
    (folder / "src").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "fluxforge_collector", "fluxforge_assets"):
        (folder / "src" / name).symlink_to(root / name)
    for arguments in (
        ["venv", "--python", sys.executable, folder / "venv"],
        ["pip", "sync", "--require-hashes", "--python", python, root / "deploy" / "locks" / "collector.lock"],
        ["pip", "install", "--no-deps", "--python", python, folder / "src"],
    ):
        subprocess.run([uv, "--quiet", *arguments], check=True)
    return python


def run(python, folder, *arguments, code=0):
    done = subprocess.run(
        [python, "-c", TRACED, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.asyncio
async def test_it_collects(installed, tmp_path):
    import asyncio  # noqa: PLC0415

    async with Simulator(SimulatorOptions(seed=51, speed=5)) as sim:
        settings = {
            "lake": {"root": str(tmp_path / "lake")},
            "metrics": {"port": 0},
            "exchanges": {"okx": {"symbols": ["BTC/USDT"], "base_url": sim.url}},
        }
        file = tmp_path / "fluxforge.yaml"
        file.write_text(yaml.safe_dump(settings))
        done = await asyncio.to_thread(run, installed, tmp_path, "collect", "--seconds", "5", "--json")
    assert json.loads(done.stdout)["records"]["orderbook"] > 5
    assert list(tmp_path.glob("lake/raw/ready/ccxt/orderbook/*.parquet"))
    modules = (tmp_path / "modules.txt").read_text()
    assert not [name for name in FOREIGN if f"'{name}'" in modules]
    told = json.loads(run(installed, tmp_path, "health", "--json", code=2).stdout)
    assert {"collector c1 (ccxt)", "disk"} <= {finding["what"] for finding in told["findings"]}
    assert not [finding for finding in told["findings"] if finding["what"].startswith("newest")]


def test_a_command_of_the_assets_says_what_to_install(installed, tmp_path):
    done = run(installed, tmp_path, "query", "gold/bars", code=2)
    assert "pip install '.[assets]'" in done.stderr
