"""Which places of the lake are meant, and which of them are stored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_collector.errors import InstrumentError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.storage.bucket import matching

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Selection:
    """Which places: None is all. Naming an exchange or a symbol leaves out bronze, whose files hold all instruments."""

    exchange: str | None = None
    symbol: str | None = None
    """Path-safe."""
    first: str | None = None
    last: str | None = None
    channels: frozenset[str] = frozenset()

    def has_date(self, date: str) -> bool:
        """Whether a date is wanted."""
        return (self.first or "") <= date and (self.last is None or date <= self.last)

    def has(self, asset: str) -> bool:
        """Whether an asset is wanted; gold follows from order books."""
        channel = "orderbook" if asset.startswith("gold/") else asset.partition("/")[2]
        return not self.channels or channel in self.channels

    @property
    def has_bronze(self) -> bool:
        """Whether whole dates are wanted, and so bronze."""
        return self.exchange is None and self.symbol is None


EVERYTHING = Selection()


def stored_places(lake: Lake, dataset: Dataset, selection: Selection = EVERYTHING) -> Iterator[Place]:
    """The stored partitions of a dataset, by source, instrument and date; other folders are passed over."""
    pattern = f"exchange={selection.exchange or '*'}/symbol={selection.symbol or '*'}/date=*"
    for root in matching(lake.root, f"processed/*/{dataset.folder}"):
        source = root.parts[-1 - len(dataset.folder.split("/"))]
        for path in matching(root, pattern):
            exchange, symbol, date = (name.partition("=")[2] for name in path.parts[-3:])
            if _DATE.fullmatch(date) and selection.has_date(date):
                with suppress(InstrumentError):
                    yield Place(source, Instrument.from_key(f"{exchange}:{symbol}"), date)
