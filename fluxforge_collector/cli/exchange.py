"""`fluxforge exchange`: run the simulated exchange."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import asdict
from pathlib import Path

import click

from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator import Simulator, SimulatorOptions
from fluxforge_collector.simulator.listing import DEFAULT_SYMBOLS
from fluxforge_collector.simulator.options import Speed
from fluxforge_collector.simulator.scenario import draw_soak, read_scenario

_SOAK_S = 3600.0  # of a soak that nothing else ends


@click.command("exchange")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0 takes a free one.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same market.")
@click.option("--exchanges", default="binanceus,okx", show_default=True, help="Whose protocols to speak.")
@click.option("--instruments", default=",".join(DEFAULT_SYMBOLS), show_default=True, help="What they list.")
@click.option("--speed", default="1", show_default=True, help="Simulated seconds per second, or max.")
@click.option(
    "--capture",
    "captures",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A recording of Binance streams to play instead; repeat for several files.",
)
@click.option("--truth", type=click.Path(path_type=Path), help="Write every frame sent to this file, as JSON lines.")
@click.option("--scenario", type=click.Path(path_type=Path), help="A YAML file of faults and when they happen.")
@click.option("--soak", is_flag=True, help="Faults of all kinds at random, drawn from --seed and printed.")
@click.option("--far-levels", type=click.IntRange(0, 100_000), default=0, help="Levels a side far off the price.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so long.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def command(
    *,
    port: int,
    seed: int,
    exchanges: str,
    instruments: str,
    speed: str,
    captures: tuple[Path, ...],
    truth: Path | None,
    scenario: Path | None,
    soak: bool,
    far_levels: int,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Run the simulated exchange on loopback until interrupted.

    Real clients connect to it unmodified once their URLs are rewritten: https://HOST/PATH becomes
    http://127.0.0.1:PORT/HOST/PATH, and wss becomes ws.
    """
    steps = read_scenario(scenario) if scenario else ()
    if soak:
        lasts = seconds or _SOAK_S
        drawn = draw_soak(seed, _names(exchanges), _names(instruments), lasts, is_played=bool(captures))
        steps = (*steps, *drawn)
    options = SimulatorOptions(
        port=port,
        seed=seed,
        exchanges=_names(exchanges),
        instruments=_names(instruments),
        speed=speed_of(speed),
        captures=captures,
        truth_file=truth,
        far_levels=far_levels,
        scenario=steps,
        truth_limit=1,  # nobody asks this process; the file has all
    )
    asyncio.run(_run(options, seconds, as_json))


async def _run(options: SimulatorOptions, seconds: float | None, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(options) as simulator:
        click.echo(json.dumps({"url": simulator.url}) if as_json else f"simulated exchange at {simulator.url}")
        for step in options.scenario:
            click.echo(json.dumps({"fault": asdict(step)}) if as_json else f"fault at {step}")
        report = asyncio.create_task(_report(simulator, as_json))
        feed = asyncio.create_task(simulator.wait())
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({feed, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in (report, stopped):
            task.cancel()
        if feed in done:
            await feed
        feed.cancel()
        click.echo(json.dumps(simulator.stats()) if as_json else _line(simulator))


async def _report(simulator: Simulator, as_json: bool) -> None:
    """Print live counts every five seconds."""
    while True:
        await asyncio.sleep(5)
        simulator.truth.flush()
        click.echo(json.dumps(simulator.stats()) if as_json else _line(simulator))


def _line(simulator: Simulator) -> str:
    stats = simulator.stats()
    line = f"{counted(stats['frames_sent'], 'frame')} sent to {counted(stats['connections'], 'connection')}"
    return f"{line}, recording finished" if stats["finished"] else line


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def speed_of(text: str) -> Speed:
    """The speed that an option names. Raises: ConfigError where it names none."""
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no speed", "use a number such as 1 or 10, or max") from None
