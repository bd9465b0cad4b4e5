"""`fluxforge demo`: everything on one machine, offline, ending in bars."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.live import Live

from fluxforge_assets.cli.paths import OnDisk

POLL_SECONDS = 1.0
BAR_US = 5_000_000


@click.command("demo")
@click.option("--root", default="./demo-data", type=OnDisk(path_type=Path), help="Where everything is written.")
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="Stop after so long; exit 0 only if every instrument has bars."
)
@click.option("--headless", is_flag=True, help="No Dagster page.")
@click.option(
    "--capture",
    "captures",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Play a recorded capture instead of a generated market; may be given again.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the generated market.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON.")
def command(
    root: Path, seconds: float | None, headless: bool, captures: tuple[Path, ...], seed: int, as_json: bool
) -> None:
    """Run everything, offline: exchange, collector, Dagster, bars."""
    from fluxforge_assets.demo.layout import Layout, exchanges_of
    from fluxforge_assets.demo.run import finish, launch, stop, watch
    from fluxforge_assets.demo.show import bars_table, line, newest_bars, next_steps, summary, table

    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = 120
    signal.signal(signal.SIGINT, _interrupt)  # a shell starts what runs in the background deaf to it
    signal.signal(signal.SIGTERM, _interrupt)
    layout = Layout(root.absolute())
    demo = launch(layout, exchanges_of(captures), seed=seed, captures=captures, headless=headless, say=console.print)
    try:
        if demo.page:
            console.print(f"Dagster's page: {demo.page} (in a few seconds)")
        has_shown_bars = False
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for status, frames, elapsed in watch(demo, seconds, POLL_SECONDS):
                if console.is_terminal:
                    live.update(table(status, frames, elapsed, demo.page), refresh=True)
                elif int(elapsed) % 10 == 0:
                    console.print(line(status, frames, elapsed))
                if demo.first_bar_seconds is not None and not has_shown_bars and status.has_span(60):
                    has_shown_bars = True
                    live.console.print(bars_table(newest_bars(layout, BAR_US), "The newest 5 s bars"))
                    live.console.print("Go on, in another terminal:", *next_steps(layout), sep="\n  ")
        interrupted = False
    except KeyboardInterrupt:
        interrupted = True
    except BaseException:
        stop(demo)
        raise
    console.print("stopping: the collector seals, Dagster finishes its run")
    try:
        report = finish(demo)
    except BaseException:
        stop(demo)
        raise
    if report["instruments"]:
        console.print(bars_table(newest_bars(layout, BAR_US), "The newest 5 s bars"))
    summary(console, report)
    if as_json:
        click.echo(json.dumps(report))
    is_complete = set(demo.instruments) <= set(report["instruments"])
    sys.exit(0 if interrupted or is_complete else 1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM stops the demo as Ctrl-C does."""
    del number, frame
    raise KeyboardInterrupt
