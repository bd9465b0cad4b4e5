"""Log lines: what every one carries, that each event is documented, and that a flood stays a trickle."""

import ast
import json
import logging
from contextlib import redirect_stderr, suppress
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from fluxforge_collector.logs import EVENTS, Thinned, page, set_up_logging

ROOT = Path(__file__).resolve().parents[2] / "fluxforge_collector"
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def calls():
    """Event and level of every call of a logger in the collector."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = ast.unparse(node.func.value)
                if owner.rpartition(".")[2] in {"log", "_log"}:
                    assert isinstance(node.args[0], ast.Constant), f"{path}: an event is a plain text"
                    yield node.args[0].value, "error" if node.func.attr == "exception" else node.func.attr


def test_every_event_is_documented_with_its_level_and_nothing_else_is():
    found = dict(calls())
    assert found == {name: event.level for name, event in EVENTS.items() if name != "library"}
    assert all(f"| `{name}` |" in page() for name in EVENTS)


@pytest.fixture
def lines(capsys):
    """What is written to standard error as JSON, from here on."""
    before = structlog.get_config()
    handlers = logging.root.handlers[:]
    logging.root.handlers.clear()
    set_up_logging("info", human=False)
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    structlog.configure(**before)


def test_a_line_has_time_level_and_whose_it_is(lines):
    with structlog.contextvars.bound_contextvars(collector="c1", source="ccxt"):
        structlog.get_logger().bind(exchange="okx").warning("no markets yet", why="x")
    structlog.get_logger().debug("not asked for")
    (line,) = lines()
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.utcoffset().total_seconds() == 0
    assert line == {
        "event": "no markets yet", "level": "warning", "why": "x",
        "collector": "c1", "source": "ccxt", "exchange": "okx",
    }  # fmt: skip


@pytest.mark.usefixtures("lines")
def test_a_line_that_cannot_be_written_ends_nothing():
    """As where the log is a file on the disk that is full: that must be survived, not only told of."""
    with Path("/dev/full").open("w", encoding="utf-8", buffering=1) as full, redirect_stderr(full):
        for _ in range(3):
            structlog.get_logger().critical("cannot write", why="No space left on device")
        with suppress(OSError):
            full.close()


def test_a_trace_is_part_of_its_line(lines):
    secret = "abc"
    try:
        int("boom" + secret[:0])
    except ValueError:
        structlog.get_logger().exception("feed broke")
    (line,) = lines()
    assert (line["level"], line["exception"][0]["exc_type"]) == ("error", "ValueError")
    assert "abc" not in json.dumps(line), "local variables are not told"


def test_what_libraries_say_is_a_line_too(lines):
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    logging.getLogger("asyncio").info("not worth a line")
    (line,) = lines()
    assert (line["event"], line["logger"], line["level"]) == ("library", "asyncio", "error")
    assert line["message"] == "Task exception was never retrieved"


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def passes(thinned, **fields):
    """The line that comes out; None where it is dropped."""
    try:
        return thinned(None, "warning", dict(fields))
    except structlog.DropEvent:
        return None


def test_a_fault_that_repeats_is_thinned_and_counted():
    clock = Clock()
    thinned = Thinned(clock)
    passed = [passes(thinned, event="resubscribing", exchange="okx", why=str(n)) for n in range(100)]
    assert sum(line is not None for line in passed) == 5
    assert passes(thinned, event="resubscribing", exchange="gate") is not None, "another exchange is another fault"
    clock.now_s = 61.0
    line = passes(thinned, event="resubscribing", exchange="okx", why="again")
    assert line == {"event": "resubscribing", "exchange": "okx", "why": "again", "held_back": 95}
    clock.now_s = 200.0
    assert "held_back" not in passes(thinned, event="resubscribing", exchange="okx")


def test_what_is_remembered_of_repetitions_is_bounded():
    thinned = Thinned(Clock())
    for number in range(5000):
        passes(thinned, event="quarantined", file=str(number))
    assert len(thinned._seen) <= 1000
