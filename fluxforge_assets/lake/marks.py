"""Marks: small files that say which dates still wait for silver and gold, so that a run that died is made up for.

`dirty`: segments landed that no finished run has computed. `open`: computed, but the day is not complete yet. What a
mark waits for is its folder's: silver and bars by `REALTIME`, the other gold tables by `GOLD`.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from typing import NamedTuple

from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.storage.bucket import LakePath, matching
from fluxforge_collector.storage.changes import write

_MARK = re.compile(r"([a-z0-9_]{1,32})\.(\d{4}-\d{2}-\d{2})")
REALTIME, GOLD = "marks", "gold-marks"


class Mark(NamedTuple):
    """A date of a source with work left; `token` changes whenever more arrives."""

    source: str
    date: str
    is_dirty: bool
    token: str


def mark(lake: Lake, source: str, date: str, *, is_dirty: bool = True, of: str = REALTIME) -> str:
    """Say durably that a date has work left; the mark's token."""
    token = secrets.token_hex(8)
    write(_file(lake, source, date, of), f"{'dirty' if is_dirty else 'open'} {token}".encode(), is_shared=True)
    return token


def marks(lake: Lake, of: str = REALTIME) -> list[Mark]:
    """All marks, by source and date."""
    return [known for path in matching(lake.state / of, "*") if (known := _read(path))]


def mark_gold(lake: Lake, source: str, date: str) -> str:
    """Say durably that silver of a date has changed; the mark's token."""
    with locked(lake, _gold_lock(source)):
        return mark(lake, source, date, of=GOLD)


def settle_gold(lake: Lake, known: Mark) -> None:
    """What gold reads of a date is in it; where silver has changed since, the mark stays."""
    with locked(lake, _gold_lock(known.source)):
        settle(lake, known, is_complete=True, of=GOLD)


def _gold_lock(source: str) -> str:
    return f"{GOLD}-{source}"


def settle(lake: Lake, known: Mark, *, is_complete: bool, of: str = REALTIME) -> None:
    """The work a mark stood for is done; where more has arrived since, the mark stays.

    Nobody may mark the date at the same moment: that is for a lock to see to.
    """
    path = _file(lake, known.source, known.date, of)
    if _read(path) != known:
        return
    if is_complete:
        path.unlink(missing_ok=True)
    elif known.is_dirty:
        mark(lake, known.source, known.date, is_dirty=False, of=of)


def _read(path: LakePath) -> Mark | None:
    """The mark in a file; None where there is none, or not any more."""
    match = _MARK.fullmatch(path.name)
    if match:
        with suppress(FileNotFoundError):
            state, _, token = path.read_text().partition(" ")
            return Mark(match[1], match[2], state == "dirty", token)
    return None


def _file(lake: Lake, source: str, date: str, of: str) -> LakePath:
    return lake.state / of / f"{source}.{date}"
