"""What the recipes of gold tables share: the silver parts they read, up to when those are complete, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import polars as pl
from polars.exceptions import PolarsError

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK, Dataset
from fluxforge_assets.lake.parts import Part, original_parts, parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.reading import patiently
from fluxforge_assets.lake.recipe import Input, Recipe
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.lake.silver import SilverOrderbook
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import DAY_US, date_of

_KEY = ("exchange", "symbol", "ts")


class GoldRecipe(Recipe, Protocol):
    """A recipe that reads the silver of several days."""

    def days(self) -> range:
        """The days read for day 0."""


class FromSilver:
    """A gold table of one source, made from silver rows of the day and of those around it."""

    dataset: Dataset
    keeps_empty = False

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        self._lake, self._config, self._source = lake, config, source
        self.silver = SilverOrderbook(lake, config, source, archive)
        self.options = config.etl.channels.orderbook.processor_options
        self.columns = self.dataset.columns(self.options)
        self.fingerprint = self.dataset.fingerprint(self.options)
        self.grid_us = self.options.bucket_us

    def changed_from_us(self, place: Place, fresh: Sequence[Input]) -> int | None:
        """New parts only add rows; one that replaces others counts as late."""
        del place, fresh
        return None

    def newest_us(self, place: Place, fresh: Sequence[Input]) -> int:
        """The stamp of the day's newest silver row."""
        del fresh
        directory = self._lake.partition(place, SILVER_ORDERBOOK.folder)
        return patiently(
            lambda: max((read_provenance(directory / p.name).last_us for p in parts_of(directory)[-1:]), default=0)
        )

    def is_waiting(self, newest_us: int, from_us: int, to_us: int) -> bool:
        """Whether a silver row can have become a row of this table."""
        return newest_us > from_us and to_us > from_us

    def settled_us(self, place: Place) -> int:
        """Up to when the day's silver holds all it ever will."""
        return self.silver.settled_us(place, SILVER_ORDERBOOK.folder)

    def settled_after_us(self, place: Place, before: Iterable[Place]) -> int:
        """The same, for a table that needs the days before complete: the day's start until they are."""
        if any(self.settled_us(day) < day.end_us for day in before):
            return place.start_us
        return self.settled_us(place)

    def originals(self, place: Place) -> list[Part]:
        """The silver parts of a day as they were written first."""
        return patiently(lambda: original_parts(self._lake.partition(place, SILVER_ORDERBOOK.folder)))

    def read(self, places: Iterable[Place], names: Sequence[str], from_us: int, to_us: int) -> pl.DataFrame:
        """Some columns of the silver rows with ts in `(from_us, to_us]`, ascending; without rows an empty frame.

        Raises: DataError where a part cannot be read or lacks a column.
        """
        listed = tuple(places)
        return patiently(lambda: self._read(listed, names, from_us, to_us))

    def _read(self, places: Sequence[Place], names: Sequence[str], from_us: int, to_us: int) -> pl.DataFrame:
        wanted = dict.fromkeys((*_KEY, *names))
        schema = {c.name: c.dtype.polars for c in SILVER_ORDERBOOK.columns(self.options) if c.name in wanted}
        files = [
            directory / part.name
            for directory in (self._lake.partition(place, SILVER_ORDERBOOK.folder) for place in places)
            for part in parts_of(directory)
            if part.to_us > from_us and part.from_us < to_us
        ]
        if not files:
            return pl.DataFrame(schema=schema)
        try:
            rows = scan(files, schema=schema, extra_columns="ignore")
            return rows.filter(pl.col("ts") > from_us, pl.col("ts") <= to_us).collect().sort("ts")
        except PolarsError as error:
            for file in files:
                read_provenance(file)  # one that is damaged says so itself
            raise DataError(
                f"silver of {places[0].instrument.key} lacks what {self.dataset.asset} reads: "
                f"{str(error).splitlines()[0]}",
                "compute it again: fluxforge backfill --stale",
            ) from error


def shifted(place: Place, days: int) -> Place:
    """The same instrument, some days later."""
    return Place(place.source, place.instrument, date_of(place.start_us + days * DAY_US))
