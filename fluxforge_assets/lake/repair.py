"""What is wrong in a lake, and how it is mended; each fault is found without changing anything.

Whatever is taken out of the way is moved aside, never deleted, unless the very same bytes stand where they belong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.storage.bucket import LakePath
from fluxforge_collector.storage.changes import move, write

ASIDE = "aside"


@dataclass(frozen=True)
class Fault:
    """Something wrong: its kind, where, what, what would be done, and doing it; None where only a person can."""

    kind: str
    path: LakePath
    problem: str
    remedy: str
    mend: Callable[[], None] | None = None


class Dates(NamedTuple):
    """The dates to look at; None is open."""

    first: str | None = None
    last: str | None = None

    def has(self, date: str) -> bool:
        """Whether a date is among them."""
        return (self.first or "") <= date and (self.last is None or date <= self.last)


def faults(lake: Lake, config: Config, dates: Dates) -> Iterator[Fault]:
    """Everything that is wrong, raw first: what is made from it may need it."""
    from fluxforge_assets.lake.repair_parts import part_faults  # noqa: PLC0415  both build on what stands here
    from fluxforge_assets.lake.repair_segments import segment_faults  # noqa: PLC0415  as above

    for source in lake.sources():
        yield from segment_faults(lake, source, dates)
    yield from part_faults(lake, config, dates)


def mend(fault: Fault) -> str | None:
    """Put a fault right; why it could not be, else None."""
    if fault.mend is None:
        return "only a person can"
    try:
        fault.mend()
    except FluxForgeError as error:
        return str(error)
    return None


def set_aside(lake: Lake, path: LakePath) -> None:
    """Move a file out of every dataset, to `.work/aside/` under its own way; nothing there is overwritten."""
    move(path, next(place for place in _aside(lake, path) if not place.is_file()))


def copy_aside(lake: Lake, path: LakePath) -> None:
    """Keep a copy of a file there; the same one, of a repair that died afterwards, is enough."""
    data = path.read_bytes()
    for place in _aside(lake, path):
        if not place.is_file():
            write(place, data)
            return
        if place.read_bytes() == data:
            return


def _aside(lake: Lake, path: LakePath) -> Iterator[LakePath]:
    """Where a file may stand aside: its own way, then with a number."""
    way = str(path).removeprefix(f"{lake.root}/")
    yield lake.state / ASIDE / way
    yield from (lake.state / ASIDE / f"{way}.{number}" for number in count(1))
