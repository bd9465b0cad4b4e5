"""`fluxforge health`, over a lake that a real collector wrote: running, with a silent stream, killed."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from fluxforge_collector.cli import main
from fluxforge_collector.cli.health import as_text, command
from fluxforge_collector.health.finding import Finding, Level
from fluxforge_collector.simulator import Simulator, SimulatorOptions

PROGRAM = [sys.executable, "-c", "from fluxforge_collector.cli import main; main()"]


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Asks for health with a configuration; gives the exit code and the troubles by what they are about."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(settings, **health):
        file = tmp_path / "health.yaml"
        values = settings.model_dump(mode="json", exclude_defaults=True)
        file.write_text(yaml.safe_dump(values | {"health": {"min_free_mb": 0, **health}}))
        result = CliRunner().invoke(command, ["--config", str(file), "--json"])
        said = json.loads(result.output)
        assert said["status"] == ("healthy", "degraded", "down")[result.exit_code]
        return result.exit_code, {f["what"]: f for f in said["findings"] if f["level"] != "healthy"}

    return run


@pytest.mark.asyncio
async def test_a_collector_from_its_start_to_its_death(config, until, ask, tmp_path):
    async with Simulator(SimulatorOptions(seed=41, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": {"orderbook": ["BTC/USDT", "ETH/USDT"]}}})
        assert ask(settings)[0] == 2, "it has never run"
        file = tmp_path / "fluxforge.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
        with subprocess.Popen([*PROGRAM, "collect", "--config", file, "--json"], stderr=subprocess.PIPE) as process:
            try:
                await until(lambda: ask(settings)[0] == 0, 90)
                code, troubles = await asyncio.to_thread(ask, settings, orderbook_seconds=0.000_001)
                assert (code, list(troubles)) == (2, ["exchange okx"]), (
                    "with no patience at all, every stream is silent"
                )
                process.send_signal(signal.SIGKILL)
                process.communicate(timeout=30)
                await until(lambda: ask(settings, heartbeat_seconds=0.1)[0] == 2)
                _, troubles = ask(settings, heartbeat_seconds=0.1)
                assert "dead, or stuck" in troubles["collector c1 (ccxt)"]["text"]
                assert troubles["collector c1 (ccxt)"]["since_us"] > 1_600_000_000_000_000
            finally:
                process.kill()


def test_people_see_the_worst_first_with_since_when():
    text = as_text([
        Finding(Level.DOWN, "collector c1", "dead", 1_800_000_000_000_000), Finding(Level.HEALTHY, "disk", "9 GiB", 5),
    ])  # fmt: skip
    lines = [line.replace("\x1b[0m", "").split("m", 1)[-1] for line in text.splitlines()]
    assert lines == [
        "down      collector c1  dead, since 2027-01-15 08:00:00 UTC",
        "healthy   disk          9 GiB",
        "down    ",
    ]


def test_a_configuration_that_cannot_be_read_is_one_line_and_exit_code_2(tmp_path, capsys):
    file = tmp_path / "f.yaml"
    file.write_text("helth: {}")
    with pytest.raises(SystemExit) as stop:
        main(["health", "--config", str(file)])
    assert stop.value.code == 2
    assert "did you mean 'health'?" in capsys.readouterr().err
