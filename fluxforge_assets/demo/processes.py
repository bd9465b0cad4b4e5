"""Starting and stopping the demo's processes, so that none outlives it. Knows nothing of what they do."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fluxforge_collector.errors import FluxForgeError

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Process:
    """One started process, with the log file that holds what it printed."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raises: FluxForgeError with the end of its log where the process has ended."""
        code = self.popen.poll()
        if code is not None:
            tail = self.log.read_text(errors="replace").strip().splitlines()[-3:]
            raise FluxForgeError(f"{self.name} ended with code {code}: {' / '.join(tail)}", f"see {self.log}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process alone; it stops its own children."""
        if self.popen.poll() is None:
            self.popen.terminate()

    def wait(self, seconds: float) -> bool:
        """Whether the process ended within so many seconds."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """Kill whatever is left of its process group."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.popen.wait()


def start(name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Start a process in a group of its own, its output appended to `log`; it is told when this one dies."""
    with log.open("ab") as output:
        popen = subprocess.Popen(  # noqa: S603  the arguments are the demo's own
            list(arguments),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, and no threads run yet
        )
    return Process(name, popen, log)


def _die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, and undo an ignored SIGINT that a shell may have left."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for_children(process: Process, seconds: float) -> bool:
    """Whether the process had no child left within so many seconds: its runs are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.popen.poll() is not None or not _children(process.popen.pid):
            return True
        time.sleep(0.2)
    return False


def _children(pid: int) -> list[str]:
    """Process ids that any thread of a process started, but for those that have ended and Python's own tracker."""
    started: list[str] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            started += file.read_text().split()
        except OSError:
            continue
    return [child for child in started if _is_working(child)]


def _is_working(pid: str) -> bool:
    """Whether a process is neither a zombie nor the tracker that lives as long as its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return state != "Z" and b"resource_tracker" not in command
