"""What of the lake a command is about: assets, dates and instruments as people name them, checked before use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fluxforge_assets.lake.named import check_date, check_instruments
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
    start, end = (None if text is None else check_date(text) for text in (first, last))
    if start and end and start > end:
        raise FluxForgeError(f"--from {start} is after --to {end}", "exchange the two")
    return Selection(start, end, check_instruments(instruments, known) if instruments else None)


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


def landed_instruments(lake: Lake) -> set[str]:
    """Keys of the instruments with bronze rows on any date, by the manifests."""
    from fluxforge_assets.lake.archive import archives_of

    archives = archives_of(lake).values()
    return {key for archive in archives for date in archive.dates() for key in archive.instruments(archive.names(date))}


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
