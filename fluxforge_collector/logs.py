"""What the collector logs: every event with its meaning, and how lines are written. When to log is its author's matter.

Each line has `event`, `level`, `timestamp` (ISO, UTC), `collector`, and `source`, `exchange`, `channel`, `symbol` where
it is about one. What repeats is thinned: five alike a minute, then one that says how many were held back.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, NamedTuple

import structlog

Line = MutableMapping[str, Any]

_MOST_ALIKE = 5
_WINDOW_S = 60.0
_MOST_KINDS = 1000
_VOLATILE = {"timestamp", "why", "in_s", "again_in_s", "exc_info"}


class Event(NamedTuple):
    """What a line means, its level, and what to do where something is to be done."""

    level: str
    meaning: str


EVENTS = {
    "metrics served": Event("info", "`/metrics`, `/livez` and `/readyz` answer at this address."),
    "markets loaded": Event("info", "An exchange has told its symbols; streams are opened now."),
    "products loaded": Event("info", "Coinbase has told its products; connections are opened now."),
    "no products yet": Event("warning", "Coinbase did not tell its products; asked again after `in_s` seconds."),
    "products not loaded": Event("warning", "Coinbase did not tell what it lists now; what was known still counts."),
    "reconnecting": Event("warning", "A connection ended and is made anew after `in_s` seconds; a gap row tells."),
    "source failed": Event("critical", "A source ended before its time; what it had is sealed, the others go on."),
    "no markets yet": Event("warning", "An exchange did not tell its symbols; asked again after `in_s` seconds."),
    "refused": Event("error", "Can never be had as configured: a symbol, a channel, an exchange. Correct the file."),
    "resubscribing": Event("warning", "A subscription failed and is made anew after `in_s` seconds; a gap row tells."),
    "asking singly": Event(
        "warning", "Many symbols asked for at once were refused: each is asked for by itself from now on."
    ),
    "connections renewed": Event("info", "New connections took over from old ones; `unseen` streams have a gap there."),
    "not renewed": Event("warning", "New connections did not come up; the old ones stay, and it is tried again soon."),
    "asked and not delivered": Event("error", "A stream never brought anything; it has a gap. Is it still traded?"),
    "trades fetched again": Event("info", "All trades of a gap were had over REST (`trades`); nothing of it is lost."),
    "trades given up": Event("warning", "Trades of a gap are waited for no longer; a gap row tells of it."),
    "trades missing": Event("warning", "Trades of a gap could not all be had again; a gap row tells of the rest."),
    "trades refused": Event("warning", "An exchange does not give older trades, maybe for want of a key."),
    "trades not fetched yet": Event("warning", "Fetching trades again failed and is tried after `in_s` seconds."),
    "earlier trades not read": Event(
        "warning", "A segment of the run before is gone or broken; trades since then are not fetched."
    ),
    "feed broke": Event("error", "A connection's task failed unforeseen and is made anew. Worth a report."),
    "record not kept": Event("warning", "A record that breaks its contract was left out."),
    "cannot write": Event("critical", "The disk refuses; the queue gives up what it must. Make space, check rights."),
    "bucket found": Event("info", "The bucket answers; whether it judges conditional writes, which nothing rests on."),
    "cannot send": Event("warning", "The bucket cannot be reached, or refuses; segments wait here, sent later."),
    "sending again": Event("info", "The bucket takes segments again; `segments` are still to be sent."),
    "sent copies deleted": Event("info", "Segments that the bucket has were deleted here, as the rules say."),
    "clock step": Event("warning", "The machine's clock was moved; gap rows tell of the time it concerns."),
    "quarantined": Event("warning", "A file that cannot be used was put aside, with its reason beside."),
    "journal damaged": Event("warning", "A journal was torn or corrupt; what is readable was kept, a gap row tells."),
    "never begun": Event("info", "A segment of a dead collector held nothing."),
    "recovered": Event("warning", "A segment of a dead collector was sealed; gap rows tell of what may be missing."),
    "heartbeat not written": Event("warning", "The sign of life could not be left; `fluxforge health` will miss it."),
    "lake not seen": Event("warning", "The lake could not be looked at; its metrics stay as they were."),
    "library": Event("warning", "A library (`logger`) said this (`message`)."),
}  # fmt: skip
"""Every event, in the order of a run."""


class Thinned:
    """Drops lines that repeat: of those alike but for times and reasons, five a minute pass."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._seen: dict[tuple[tuple[str, str], ...], tuple[float, int]] = {}

    def __call__(self, _logger: Any, _method: str, line: Line) -> Line:
        """The line, perhaps saying how many like it were held back. Raises: structlog.DropEvent."""
        now_s = self._now_s()
        kind = tuple(sorted((key, str(value)) for key, value in line.items() if key not in _VOLATILE))
        since_s, count = self._seen.get(kind, (now_s, 0))
        if now_s >= since_s + _WINDOW_S:
            if count > _MOST_ALIKE:
                line["held_back"] = count - _MOST_ALIKE
            since_s, count = now_s, 0
        if len(self._seen) >= _MOST_KINDS:
            self._seen = {k: v for k, v in self._seen.items() if now_s < v[0] + _WINDOW_S} if kind in self._seen else {}
        self._seen[kind] = since_s, count + 1
        if count >= _MOST_ALIKE:
            raise structlog.DropEvent
        return line


class StandardError(structlog.PrintLogger):
    """Standard error as it is when a line is written: the live table stands in for it while it is shown."""

    def __init__(self, *_: Any) -> None:
        super().__init__(sys.stderr)

    def msg(self, message: str) -> None:
        """Write a line; where it cannot be written, on a full disk or with nobody reading, what it tells of goes on."""
        with suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


class _Libraries(logging.Handler):
    """What libraries log becomes a line like any other."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info
        )


def set_up_logging(level: str, *, human: bool) -> None:
    """Log to standard error: for people on a terminal, as JSON lines otherwise."""
    # never with local variables: they hold secrets, and whole books
    renderers: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            Thinned(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=StandardError,
    )
    logging.basicConfig(
        handlers=[_Libraries()], level=max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()])
    )
    logging.captureWarnings(capture=True)


def page() -> str:
    """The reference page of events."""
    lines = [
        "# Log events", "", "Written by `make docs` from `fluxforge_collector/logs.py`.", "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(), "",
        "| event | level | meaning |", "|---|---|---|",
        *(f"| `{name}` | {event.level} | {event.meaning} |" for name, event in EVENTS.items()),
    ]  # fmt: skip
    return "\n".join(lines)
