"""`fluxforge collect`: run the collector until told to stop, or for some seconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_collector.cli.sizes import counted

if TYPE_CHECKING:
    from fluxforge_collector.config.model import Config
    from fluxforge_collector.metrics import Tally
    from fluxforge_collector.service import CollectReport

_LOOK_S = 5.0
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # of malloc.h
_LARGE_BYTES = 64 << 10


@click.command("collect")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The file; default ./fluxforge.yaml.")
@click.option("--sources", help="Collector families: ccxt, coinbase, or both; default all that are configured.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Log JSON lines; end with the report as one JSON line.")
def command(file: Path | None, sources: str | None, seconds: float | None, *, as_json: bool) -> None:
    """Collect from the configured exchanges into the lake.

    Ctrl-C or SIGTERM stops in order, with everything sealed; a second one ends at once, and the next start recovers.
    """
    _spare_memory()

    from fluxforge_collector.config.load import load_config
    from fluxforge_collector.logs import set_up_logging

    config = load_config(file)
    is_live = not as_json and sys.stderr.isatty()
    set_up_logging(config.log_level, human=is_live)
    report = _run(config, named_sources(sources), seconds, is_live=is_live)
    click.echo(json.dumps(report.to_dict()) if as_json else summary(report))


def named_sources(text: str | None) -> list[str] | None:
    """The sources of a list separated by commas; None where none is given."""
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def summary(report: CollectReport) -> str:
    """The report in a few lines for people."""
    records = ", ".join(f"{count:,} {channel}" for channel, count in report.records.items()) or "no records"
    gaps = ", ".join(f"{count} {reason}" for reason, count in report.gaps.items()) or "none"
    return (
        f"{report.seconds:.1f} s: {counted(report.frames, 'frame')}, {records}; {counted(report.segments, 'segment')},"
        f" {counted(report.reconnects, 'reconnect')}, {counted(report.lost, 'record')} lost; gaps: {gaps}"
    )


def _run(config: Config, sources: list[str] | None, seconds: float | None, *, is_live: bool) -> CollectReport:
    import uvloop

    from fluxforge_collector.metrics import Tally
    from fluxforge_collector.service import collect

    async def run() -> CollectReport:
        stop, tally = asyncio.Event(), Tally()
        _stop_on_signals(stop)
        screen = asyncio.create_task(_show(tally, config)) if is_live else None
        try:
            return await collect(config, sources=sources, seconds=seconds, stop=stop, tally=tally)
        finally:
            if screen is not None:
                screen.cancel()
                await asyncio.gather(screen, return_exceptions=True)

    return uvloop.run(run())


def _spare_memory() -> None:
    """Have one pool of memory for all that is freed, which the end of a seal gives back to the system.

    To be called before anything imports Arrow, which chooses its own as it is loaded.
    """
    import ctypes
    import gc

    # records live for milliseconds and make no cycles: what garbage there is, each rotation collects
    gc.set_threshold(50_000, 20, 50)
    # Arrow's own pool would keep the peak of each seal beside malloc's free memory, and malloc one for each thread;
    # what pyarrow can set later, Arrow's writers of files do not use
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with contextlib.suppress(AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 1)
        # left to itself, malloc keeps pieces up to the largest ever freed, as of a frame of 10 MB, between others
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal stops in order, the second ends the process."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


async def _show(tally: Tally, config: Config) -> None:
    """Keep a table of the collector's numbers on the terminal."""
    from rich.console import Console
    from rich.live import Live

    from fluxforge_collector.cli.screen import screen
    from fluxforge_collector.health.lake import LakeState, look

    began_s, lake, looked_s = time.time(), None, 0.0

    def seen() -> LakeState | None:
        try:
            return look(config.root, config.root)
        except OSError:
            return None

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        while True:
            if time.time() - looked_s > _LOOK_S:
                lake, looked_s = await asyncio.to_thread(seen), time.time()
            live.update(screen(tally, lake, began_s=began_s, now_s=time.time()), refresh=True)
            await asyncio.sleep(1)
