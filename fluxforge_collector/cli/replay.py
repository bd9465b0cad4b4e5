"""`fluxforge replay`: recorded frames, served to a real client by the simulated exchange."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fluxforge_collector.config.model import Config
    from fluxforge_collector.service.recorded import Run, SourceFiles
    from fluxforge_collector.service.replaying import Compared
    from fluxforge_collector.simulator import Simulator, SimulatorOptions

_DAY_US = 86_400_000_000


@click.command("replay")
@click.option("--date", help="UTC date, such as 2026-11-24; default all that was recorded")
@click.option("--from", "start", help="first time, such as 2026-11-24T12:00 (UTC)")
@click.option("--to", "end", help="time after the last, as --from")
@click.option("--exchange", "exchanges", multiple=True, help="only this; may be repeated")
@click.option(
    "--source", type=click.Choice(("ccxt", "coinbase")), default="ccxt", show_default=True, help="whose frames"
)
@click.option("--collector", help="whose frames, where several collectors recorded")
@click.option("--speed", default="1", show_default=True, help="recorded seconds per second, or max")
@click.option("--port", type=click.IntRange(0, 65535), default=8700, show_default=True, help="0 takes a free one")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="collect it into this lake, and compare")
@click.option("--json", "is_json", is_flag=True, help="one JSON object a line")
@click.option("--config", "file", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    date: str | None,
    start: str | None,
    end: str | None,
    exchanges: tuple[str, ...],
    source: str,
    collector: str | None,
    speed: str,
    port: int,
    into: Path | None,
    is_json: bool,
    file: Path | None,
) -> None:
    """Serve recorded frames on loopback, as the exchange sent them, until interrupted.

    What to put into the configuration of a collector is printed. With --into, that collector is run here until the
    recording ends; exit code 1 where a row of its bronze is not the recorded one.
    """
    from fluxforge_collector.cli.exchange import speed_of
    from fluxforge_collector.logs import set_up_logging
    from fluxforge_collector.service.recorded import SourceFiles, replays_of, runs_of
    from fluxforge_collector.simulator import SimulatorOptions
    from fluxforge_collector.storage.bucket import open_path

    if into is not None and into.parts[:1] == ("s3:",):
        raise ConfigError(
            "a replay is collected into a directory", "name one; `fluxforge sync` brings it into a bucket"
        )
    if into is not None and into.exists() and any(into.iterdir()):
        raise ConfigError(f"{into} is not empty", "name a new directory for the lake to compare with")
    config = load_config(file)
    span = _span(date, start, end)
    files = SourceFiles(open_path(config.lake.root, config.storage), source)
    runs = _chosen(runs_of(files.manifests(), collector), span, config.lake.root)
    replays = replays_of(files, runs, exchanges, span[1])
    options = SimulatorOptions(
        port=port, replays=tuple(replays), replay_from_us=span[0], speed=speed_of(speed), truth_limit=1
    )
    names = [replay.exchange for replay in replays]
    if into is None:
        asyncio.run(_serve(options, source, names, is_json=is_json))
    else:
        set_up_logging(config.log_level, human=sys.stderr.isatty())
        asyncio.run(_collect(options, config, files, names, into))
        until_us = min(span[1] or runs[-1].to_us, runs[-1].to_us)
        _show(files, into, names, (runs[0].from_us, until_us), is_json=is_json)


def _span(date: str | None, start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """From when to when, microseconds since the epoch; None is as far as was recorded."""
    if date is not None and (start or end):
        raise ConfigError("--date names the whole day", "leave out --from and --to")
    if date is not None:
        day_us = _instant(date)
        return day_us, day_us + _DAY_US
    return _instant(start) if start else None, _instant(end) if end else None


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time", "write it like 2026-11-24T12:00 (UTC)") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def _chosen(runs: list[Run], span: tuple[int | None, int | None], root: str) -> list[Run]:
    """The runs of the collector that touch the span."""
    found = [r for r in runs if (span[0] is None or r.to_us > span[0]) and (span[1] is None or r.from_us < span[1])]
    if not found:
        raise DataError(
            f"no frames were recorded in {root} then", "see ingestion.record_frames, and widen --from, --to"
        )
    return found


async def _serve(options: SimulatorOptions, source: str, names: list[str], *, is_json: bool) -> None:
    """Serve until interrupted."""
    from fluxforge_collector.simulator import Simulator

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Simulator(options) as simulator:
        if is_json:
            click.echo(json.dumps({"url": simulator.url, "source": source, "exchanges": names}))
        else:
            click.echo(f"replaying {', '.join(names)} at {simulator.url}; put into the collector's fluxforge.yaml:")
            click.echo("\n".join(_config_lines(source, names, simulator.url)))
        feed, stopped = asyncio.create_task(simulator.wait()), asyncio.create_task(stop.wait())
        report = asyncio.create_task(_report(simulator, is_json=is_json))
        done, _ = await asyncio.wait({feed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (report, stopped):
            task.cancel()
        if feed in done:
            await feed
        feed.cancel()
        click.echo(_line(simulator, is_json=is_json))


def _config_lines(source: str, names: list[str], url: str) -> list[str]:
    """What points a collector at the replay."""
    if source == "coinbase":
        return ["coinbase:", f"  base_url: {url}"]
    return ["exchanges:", *(line for name in names for line in (f"  {name}:", f"    base_url: {url}"))]


async def _report(simulator: Simulator, *, is_json: bool) -> None:
    """Tell how far it is every five seconds, once anybody listens."""
    while True:
        await asyncio.sleep(5)
        if simulator.stats()["frames_sent"]:
            click.echo(_line(simulator, is_json=is_json))


def _line(simulator: Simulator, *, is_json: bool) -> str:
    stats = simulator.stats()
    if is_json:
        return json.dumps(stats)
    at = datetime.fromtimestamp(stats["clock_us"] / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    frames, connections = counted(stats["frames_sent"], "frame"), counted(stats["connections"], "connection")
    line = f"{at}  {frames} sent to {connections}"
    missed = sum(stats["missed"].values())
    line += f", {missed:,} that nobody had connected for" if missed else ""
    return f"{line}, recording finished" if stats["finished"] else line


async def _collect(options: SimulatorOptions, config: Config, files: SourceFiles, names: list[str], into: Path) -> None:
    """Run the collector against the replay, to its end."""
    from fluxforge_collector.service.replaying import config_of_replay, replay_into
    from fluxforge_collector.simulator import Simulator

    async with Simulator(options) as simulator:
        made = config_of_replay(config, files.source, names, simulator.url, into)
        report = asyncio.create_task(_progress(simulator))
        try:
            await replay_into(simulator, made)
        finally:
            report.cancel()


async def _progress(simulator: Simulator) -> None:
    while True:
        await asyncio.sleep(5)
        click.echo(_line(simulator, is_json=False), err=True)


def _show(files: SourceFiles, into: Path, names: list[str], span: tuple[int, int], *, is_json: bool) -> None:
    from fluxforge_collector.service.recorded import SourceFiles
    from fluxforge_collector.service.replaying import compare

    found = compare(files, SourceFiles(into, files.source), names, *span)
    for one in found:
        click.echo(json.dumps(asdict(one)) if is_json else _compared(one))
    differing = sum(not one.is_same for one in found)
    if not is_json:
        rows = sum(one.recorded for one in found)
        same = f"{len(found) - differing} of {counted(len(found), 'stream')}"
        click.echo(f"{counted(rows, 'row')} recorded; the same by value: {same}")
    if differing or not found:
        sys.exit(1)


def _compared(one: Compared) -> str:
    said = "same" if one.is_same else f"differs at row {one.first_difference}"
    return f"{one.channel:<10} {one.instrument:<28} {one.recorded:>9,} recorded {one.replayed:>9,} replayed  {said}"
