"""Dagster's processes as they are deployed, started and stopped for a measurement, and what they take."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def home_of(folder: Path, config: Path) -> dict[str, str]:
    """A Dagster home with the repository's profile; the environment of its commands."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    own = {"DAGSTER_HOME": str(home), "FLUXFORGE_CONFIG": str(config), "PYTHONWARNINGS": "ignore"}
    return {**os.environ, **own, "PATH": f"{BIN}:{os.environ['PATH']}"}


@contextmanager
def lean(environment: dict[str, str]) -> Iterator[list[subprocess.Popen]]:
    """The lean profile: a code server of its own and the daemon."""
    home, port = Path(environment["DAGSTER_HOME"]), free_port()
    workspace = home / "workspace.yaml"
    workspace.write_text((ROOT / "workspace.server.yaml").read_text().replace("4266", port))
    code = ["dagster", "api", "grpc", "-m", "fluxforge_assets.definitions", "-h", "127.0.0.1", "-p", port]
    with _running([code, ["dagster-daemon", "run", "-w", str(workspace)]], environment) as processes:
        yield processes


@contextmanager
def server(environment: dict[str, str]) -> Iterator[tuple[list[subprocess.Popen], str]]:
    """The server's profile: lean, and the page; the processes and the page's address."""
    port = free_port()
    workspace = Path(environment["DAGSTER_HOME"]) / "workspace.yaml"
    with lean(environment) as processes:
        page = ["dagster-webserver", "-w", str(workspace), "-h", "127.0.0.1", "-p", port]
        with _running([page], environment) as more:
            yield [*processes, *more], f"http://127.0.0.1:{port}"


@contextmanager
def development(environment: dict[str, str]) -> Iterator[tuple[list[subprocess.Popen], str]]:
    """`dagster dev`; its process and the page's address."""
    port = free_port()
    command = ["dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", port]
    with _running([command], environment) as processes:
        yield processes, f"http://127.0.0.1:{port}"


def ask(url: str, query: str, **variables: object) -> dict:
    """What GraphQL answers; nothing while nobody does. Raises: AssertionError where it refuses the question."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read()) from error
    except OSError:
        return {}
    assert "errors" not in said, said["errors"]
    return said["data"]


def memory_mb(processes: list[subprocess.Popen]) -> dict[str, float]:
    """Resident and proportional memory of the processes and all they started."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in _family(processes):
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return {"rss_mb": round(sums["Rss"] / 1024), "pss_mb": round(sums["Pss"] / 1024)}


def cpu_seconds(processes: list[subprocess.Popen]) -> float:
    """CPU seconds of the processes and all they started that still live, or were waited for."""
    total = 0
    for pid in _family(processes):
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        total += sum(map(int, fields[11:15])) if fields else 0
    return total / TICKS_PER_S


def free_port() -> str:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@contextmanager
def _running(commands: list[list[str]], environment: dict[str, str]) -> Iterator[list[subprocess.Popen]]:
    home = Path(environment["DAGSTER_HOME"])
    started: list[subprocess.Popen] = []
    with (home / "processes.log").open("ab") as log:
        try:
            started += [
                subprocess.Popen(
                    [BIN / command[0], *command[1:]],
                    cwd=home, env=environment, stdout=log, stderr=log, start_new_session=True,
                )
                for command in commands
            ]  # fmt: skip
            yield started
        finally:
            for process in reversed(started):
                os.killpg(process.pid, signal.SIGTERM)
            for process in reversed(started):
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def _family(processes: list[subprocess.Popen]) -> set[int]:
    """The processes and their descendants."""
    found, waiting = set(), [process.pid for process in processes]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += [int(child) for child in _read(file).split()]
    return found


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
