"""The demo's course: start everything, watch until told to stop, stop in order, and account for every frame."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluxforge_assets.demo.layout import CHANNELS, RECORDED_CHANNELS, Layout, free_port, instruments_of, prepare
from fluxforge_assets.demo.processes import Process, start, wait_for_children
from fluxforge_assets.demo.status import Status, Watch
from fluxforge_assets.lake.marks import marks
from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.errors import FluxForgeError

READY_SECONDS = 60.0
DRAIN_SECONDS = 30.0
_BIN = Path(sys.executable).parent
_NOT_DATA = {"received", "control"}


@dataclass
class Demo:
    """A running demo: its processes by name, in the order they were started."""

    layout: Layout
    instruments: list[str]
    exchange_url: str
    page: str | None
    started: float
    watch: Watch
    processes: dict[str, Process] = field(default_factory=dict)
    first_bar_seconds: float | None = None

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start a process that reads the demo's configuration."""
        common = {
            "FLUXFORGE_CONFIG": str(self.layout.config),
            "DAGSTER_HOME": str(self.layout.dagster_home),
            "PYTHONUNBUFFERED": "1",
        }
        program = [str(_BIN / arguments[0]), *arguments[1:]]
        self.processes[name] = start(name, program, self.layout.log(name), {**common, **environment})

    def check(self) -> None:
        """Raises: FluxForgeError where a process has ended by itself."""
        for process in self.processes.values():
            process.check()

    def status(self) -> Status:
        """The state of the lake, noting when every instrument first had a bar."""
        now = self.watch.read()
        if self.first_bar_seconds is None and all(i in now.newest_bar_us for i in self.instruments):
            self.first_bar_seconds = time.monotonic() - self.started
        return now

    def exchange_stats(self, *, pause: bool = False) -> dict[str, Any]:
        """What the exchange says it has sent, after pausing it if asked; empty while it cannot be asked."""
        request = urllib.request.Request(  # noqa: S310  the address is the demo's own
            f"{self.exchange_url}/_control/{'pause' if pause else 'stats'}", method="POST" if pause else "GET"
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                stats: dict[str, Any] = json.load(answer)
                return stats
        except (OSError, ValueError):
            return {}


def launch(
    layout: Layout,
    exchanges: Mapping[str, Sequence[str]],
    *,
    seed: int,
    captures: Sequence[Path],
    headless: bool,
    say: Callable[[str], None],
) -> Demo:
    """Start exchange, collector and Dagster. Raises: FluxForgeError with what went wrong, nothing left running."""
    exchange_port, code_port, page_port = free_port(), free_port(), free_port()
    channels = RECORDED_CHANNELS if captures else CHANNELS
    prepare(layout, exchanges=exchanges, exchange_port=exchange_port, code_port=code_port, channels=channels)
    page = None if headless else f"http://127.0.0.1:{page_port}"
    demo = Demo(
        layout,
        instruments_of(exchanges),
        f"http://127.0.0.1:{exchange_port}",
        page,
        time.monotonic(),
        Watch(layout.lake),
    )
    try:
        say("starting the exchange")
        recorded = [word for capture in captures for word in ("--capture", str(capture))]
        source = recorded or ["--seed", str(seed)]
        demo.start("exchange", "fluxforge", "exchange", "--port", str(exchange_port), *source)
        _wait(demo, lambda: bool(demo.exchange_stats()), "the exchange answers")
        say("starting the collector")
        demo.start("collector", "fluxforge", "collect", "--sources", "ccxt", "--json")
        say("starting Dagster")
        module = ("-m", "fluxforge_assets.definitions")
        demo.start("code", "dagster", "api", "grpc", "--host", "127.0.0.1", "--port", str(code_port), *module)
        demo.start("daemon", "dagster-daemon", "run", "-w", str(layout.workspace))
        if page:
            where = ("--host", "127.0.0.1", "--port", str(page_port))
            demo.start("webserver", "dagster-webserver", "-w", str(layout.workspace), *where)
    except BaseException:
        stop(demo)
        raise
    return demo


def _wait(demo: Demo, ready: Callable[[], bool], what: str) -> None:
    """Wait until something holds. Raises: FluxForgeError when a process ends or the time is over."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        demo.check()
        if time.monotonic() > deadline:
            raise FluxForgeError(f"{what}: not within {READY_SECONDS:.0f} s", f"see {demo.layout.log('x').parent}")
        time.sleep(0.1)


def watch(demo: Demo, seconds: float | None, poll_seconds: float) -> Iterator[tuple[Status, int | None, float]]:
    """State of the lake, frames sent and seconds passed, again and again; ends when the time is over."""
    while True:
        demo.check()
        elapsed = time.monotonic() - demo.started
        yield demo.status(), demo.exchange_stats().get("frames_sent"), elapsed
        if seconds is not None and elapsed >= seconds:
            return
        time.sleep(poll_seconds)


def finish(demo: Demo) -> dict[str, Any]:
    """Stop in order so that everything sent is in the bars, and give the account."""
    sent = demo.exchange_stats(pause=True).get("frames_sent")
    collector = demo.processes["collector"]
    collector.ask_to_stop()
    collector.wait(DRAIN_SECONDS)
    report = _last_json(collector.log)
    deadline = time.monotonic() + 2 * DRAIN_SECONDS
    lake = Lake(demo.layout.lake)
    while (demo.status().waiting or any(m.is_dirty for m in marks(lake))) and time.monotonic() < deadline:
        demo.processes["daemon"].check()
        time.sleep(0.5)
    stop(demo)
    last = demo.status()
    return {
        "frames_sent": sent,
        "frames_unaccounted": unaccounted(sent, report),
        "bronze_rows": last.bronze_rows,
        "silver_rows": last.silver_rows,
        "bar_rows": last.bar_rows,
        "instruments": sorted(last.newest_bar_us),
        "gaps": last.gaps,
        "first_bar_seconds": None if demo.first_bar_seconds is None else round(demo.first_bar_seconds, 1),
    }


def stop(demo: Demo) -> None:
    """Stop every process, runs in progress first allowed to end; nothing of the demo is left behind."""
    for name in ("collector", "daemon"):
        if name in demo.processes:
            demo.processes[name].ask_to_stop()
    for name in ("collector", "daemon"):
        if name in demo.processes:
            demo.processes[name].wait(DRAIN_SECONDS)
    if "code" in demo.processes:
        wait_for_children(demo.processes["code"], DRAIN_SECONDS)
    for process in demo.processes.values():
        process.ask_to_stop()
    for process in demo.processes.values():
        process.wait(5.0)
        process.end()


def unaccounted(sent: int | None, report: Mapping[str, Any]) -> int | None:
    """Frames the exchange sent that the collector's account does not name; None where either is not known."""
    if sent is None or "account" not in report:
        return None
    accounts: dict[str, dict[str, int]] = report["account"]
    named = (sum(n for kind, n in account.items() if kind not in _NOT_DATA) for account in accounts.values())
    return sent - sum(named)


def _last_json(log: Path) -> dict[str, Any]:
    """The last line of a log that is a JSON object; empty where there is none."""
    for text in reversed(log.read_text(errors="replace").splitlines()):
        if text.startswith("{"):
            try:
                report: dict[str, Any] = json.loads(text)
            except ValueError:
                continue
            return report
    return {}
