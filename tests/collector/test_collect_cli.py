"""`fluxforge collect` as a script sees it."""

import asyncio
import json
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner

from fluxforge_collector.cli import main
from fluxforge_collector.cli.collect import command, named_sources, summary
from fluxforge_collector.service import CollectReport, collect
from fluxforge_collector.simulator import Simulator, SimulatorOptions


@pytest.mark.parametrize(
    ("text", "sources"), [(None, None), ("", None), ("ccxt", ["ccxt"]), ("ccxt, coinbase", ["ccxt", "coinbase"])]
)
def test_sources_are_named_with_commas(text, sources):
    assert named_sources(text) == sources


def test_the_help_needs_no_exchange():
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "the next start recovers" in " ".join(result.output.split())


def test_an_unknown_exchange_is_one_line_and_exit_code_2(tmp_path, capsys):
    file = tmp_path / "f.yaml"
    file.write_text("exchanges: {binancus: {symbols: [BTC/USDT]}}")
    with pytest.raises(SystemExit) as stop:
        main(["collect", "--config", str(file), "--seconds", "1"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "fluxforge: ccxt has no streams of exchange 'binancus' — did you mean binanceus?"
    ]


def started(settings, folder, *arguments, **pipes):
    """The collector in a process of its own, with these settings."""
    file = folder / "fluxforge.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)))
    program = [sys.executable, "-c", "from fluxforge_collector.cli import main; main()"]
    return subprocess.Popen([*program, "collect", "--config", file, "--json", *arguments], text=True, **pipes)


def blocked(settings):
    """A file where sealed segments belong: what ends in order waits for it to go, as for a full disk."""
    in_the_way = settings.root / "raw" / "ready" / "ccxt"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("not a directory")
    return in_the_way


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [None, signal.SIGINT])
async def test_a_run_ends_in_order_and_reports(number, config, until, tmp_path):
    async with Simulator(SimulatorOptions(seed=31, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": ["BTC/USDT"]}})
        arguments = [] if number else ["--seconds", "4"]
        process = started(settings, tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            if number is not None:
                await until(lambda: len(sim.truth.frames(channel="orderbook")) > 20, 90)
                process.send_signal(number)
            out, log = await asyncio.to_thread(process.communicate, timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0
    assert all(json.loads(line)["event"] for line in log.splitlines())
    (line,) = out.splitlines()
    report = json.loads(line)
    account = report["account"]["okx"]
    assert report["frames"] == account["received"] == sum(account.values()) - account["received"]
    assert report["records"]["orderbook"] >= 1
    assert list(settings.root.glob("raw/ready/ccxt/*.json"))
    assert not list(settings.root.glob("raw/active/**/*.arrow"))


@pytest.mark.asyncio
async def test_a_second_signal_ends_at_once_and_the_next_start_recovers(config, until, rows, tmp_path):
    async with Simulator(SimulatorOptions(seed=32, speed=5)) as sim:
        settings = config(sim, {"okx": {"symbols": ["BTC/USDT"]}}, segment_max_seconds=86_400)
        in_the_way = blocked(settings)
        process = started(settings, tmp_path, stderr=subprocess.DEVNULL)
        try:
            await until(lambda: list(settings.root.glob("raw/active/ccxt/orderbook/*.arrow")), 90)

            def has_ended():
                process.send_signal(signal.SIGINT)
                return process.poll() is not None

            await until(has_ended, 60)
        finally:
            process.kill()
        assert process.returncode == 130
        in_the_way.unlink()
        await collect(settings, seconds=0.5)
    assert rows(settings.root, "orderbook")
    assert "crash" in {gap["reason"] for gap in rows(settings.root, "gaps")}
    assert not list(settings.root.glob("raw/active/**/*.arrow"))


@pytest.mark.asyncio
async def test_an_end_that_takes_too_long_is_an_error_and_the_next_start_seals_what_is_left(
    config, until, rows, tmp_path
):
    async with Simulator(SimulatorOptions(seed=33, speed=5)) as sim:
        settings = config(
            sim, {"okx": {"symbols": ["BTC/USDT"]}}, segment_max_seconds=86_400, shutdown_grace_seconds=1.0
        )
        in_the_way = blocked(settings)
        process = started(settings, tmp_path, stderr=subprocess.PIPE)
        try:
            await until(lambda: len(sim.truth.frames(channel="orderbook")) > 20, 90)
            process.send_signal(signal.SIGTERM)
            _, log = await asyncio.to_thread(process.communicate, timeout=90)
        finally:
            process.kill()
        assert process.returncode == 2
        assert log.splitlines()[-1] == (
            "fluxforge: the last segment was not sealed within 1 s — it is sealed at the next start"
        )
        in_the_way.unlink()
        await collect(settings, seconds=0.5)
    assert len(rows(settings.root, "orderbook")) > 10


def test_the_report_in_a_line():
    report = CollectReport(2.0, 10, {"orderbook": 1234}, {"sequence": 1}, 1, 0, 0, [], {})
    assert summary(report) == (
        "2.0 s: 10 frames, 1,234 orderbook; 1 segment, 0 reconnects, 0 records lost; gaps: 1 sequence"
    )
