"""What of the lake a command is about: assets, dates and instruments as people name them, checked before use."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument

if TYPE_CHECKING:
    import dagster as dg

    from fluxforge_assets.lake.datasets import Dataset
    from fluxforge_assets.lake.paths import Lake, Place
    from fluxforge_collector.config.model import Config


@dataclass(frozen=True)
class Selection:
    """Dates from `first` to `last`, both included, and instrument keys; None is all of them."""

    first: str | None = None
    last: str | None = None
    instruments: frozenset[str] | None = None

    def has_date(self, date: str) -> bool:
        """Whether a date is wanted."""
        return (self.first is None or date >= self.first) and (self.last is None or date <= self.last)

    def has(self, place: Place) -> bool:
        """Whether a partition is wanted."""
        return self.has_date(place.date) and (self.instruments is None or place.instrument.key in self.instruments)


def select(first: str | None, last: str | None, instruments: Sequence[str], known: Iterable[str]) -> Selection:
    """What the options name. Raises: FluxForgeError for a date or an instrument that cannot be meant."""
    start, end = check_date(first), check_date(last)
    if start and end and start > end:
        raise FluxForgeError(f"--from {start} is after --to {end}", "exchange the two")
    return Selection(start, end, check_instruments(instruments, known) if instruments else None)


def check_date(text: str | None) -> str | None:
    """A UTC date that has begun. Raises: FluxForgeError."""
    if text is None:
        return None
    try:
        date = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise FluxForgeError(f"{text!r} is no date", "write it like 2026-11-24") from None
    today = datetime.now(UTC).date().isoformat()
    if date > today:
        raise FluxForgeError(f"{date} has not begun", f"today is {today} (UTC)")
    return date


def check_instruments(names: Sequence[str], known: Iterable[str]) -> frozenset[str]:
    """Instrument keys; `binanceus:BTC/USDT` is understood too. Raises: FluxForgeError that names the nearest."""
    all_known = sorted(set(known))
    found = set()
    for name in names:
        exchange, _, symbol = name.partition(":")
        key = Instrument(exchange, symbol).key if "/" in symbol else name
        if key not in all_known:
            near = difflib.get_close_matches(key, all_known, n=3, cutoff=0.4) or all_known[:5]
            hint = f"did you mean {', '.join(near)}?" if near else "nothing has been collected yet"
            raise FluxForgeError(f"there is no instrument {name!r} in the lake", hint)
        found.add(key)
    return frozenset(found)


def check_assets(names: Sequence[str]) -> list[Dataset]:
    """The processed datasets named, in the order the data flows; all without names. Raises: DataError."""
    from fluxforge_assets.lake.datasets import DATASETS, dataset_of

    wanted = {dataset_of(name) for name in names}
    return [dataset for dataset in DATASETS if not names or dataset in wanted]


def known_instruments(lake: Lake | None, config: Config | None) -> set[str]:
    """Keys of the instruments that have processed partitions in the lake, or that the configuration names."""
    from fluxforge_assets.lake.datasets import DATASETS
    from fluxforge_assets.lake.places import stored_places

    stored = {place.instrument.key for dataset in DATASETS for place in stored_places(lake, dataset)} if lake else set()
    return stored | {
        Instrument(name, symbol).key
        for _, name, exchange in (config.asked() if config else ())
        for channel in ("orderbook", "trades", "ticker")
        for symbol in exchange.symbols_of(channel)
    }


def open_instance() -> dg.DagsterInstance | None:
    """The instance of $DAGSTER_HOME; None without one. Raises: FluxForgeError where it cannot be opened."""
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        return None
    from fluxforge_assets.defs.daemon import instance_of, why

    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise FluxForgeError(f"DAGSTER_HOME {home!r} is no absolute path of a folder", "set it to Dagster's home")
    try:
        return instance_of(home)
    except Exception as error:  # an instance fails in as many ways as there are databases
        raise FluxForgeError(
            f"Dagster's instance of {home} cannot be opened: {why(error)}",
            "see that its dagster.yaml is right, its variables are set and its database can be reached",
        ) from error
