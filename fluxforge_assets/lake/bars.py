"""The recipe of gold bars: silver rows of the same partition, rolled up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl
from polars.exceptions import PolarsError

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import GOLD_BARS, SILVER_ORDERBOOK
from fluxforge_assets.lake.parts import original_parts, parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place, day_start_us
from fluxforge_assets.lake.reading import patiently
from fluxforge_assets.lake.recipe import Input
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.lake.silver import SilverOrderbook
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import DataError
from fluxforge_collector.segments.names import DAY_US, date_of
from fluxforge_collector.storage.bucket import LakePath

HOUR_US = 3_600_000_000


class GoldBars:
    """Bars of one source.

    A bar belongs to the date that holds the moment before its end, also where it begins on the day before: a row is
    found under the date of its stamp, and a day is closed when its midnight is.
    """

    dataset = GOLD_BARS
    keeps_empty = False

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        self._lake, self._config = lake, config
        self.silver = SilverOrderbook(lake, config, source, archive)
        self.options = self.silver.options
        self.columns = self.dataset.columns(self.options)
        self.fingerprint = self.dataset.fingerprint(self.options)
        self.grid_us = self.options.bucket_us
        self._longest_us = max(self.options.bar_durations_us)
        self._evening_us = max((us for us in self.options.bar_durations_us if DAY_US % us), default=0)

    def renewed(self) -> GoldBars:
        """The same over segments listed anew."""
        return GoldBars(self._lake, self._config, self.silver.archive.source)

    def inputs(self, place: Place) -> list[Input]:
        """The day's silver parts, and the evening's before that a bar reaches into."""
        first_us = place.start_us - self._evening_us
        return [
            Input(part.name, part.from_us)
            for day in self._days(place)
            for part in patiently(partial(original_parts, self._silver(place, day)))
            if part.to_us > first_us
        ]

    def until_us(self, place: Place) -> int:
        """Up to when silver is complete."""
        return self.silver.settled_us(place, SILVER_ORDERBOOK.folder)

    def changed_from_us(self, place: Place, fresh: Sequence[Input]) -> int | None:
        """New parts only add rows; one that replaces others counts as late."""
        del place, fresh
        return None

    def newest_us(self, place: Place, fresh: Sequence[Input]) -> int:
        """The stamp of the newest silver row."""
        return patiently(lambda: self._newest_us(place, fresh)) if fresh else 0

    def _newest_us(self, place: Place, fresh: Sequence[Input]) -> int:
        newest_to_us = max(int(i.name.split("-")[2]) for i in fresh)
        holders = [
            directory / part.name
            for directory in (self._silver(place, day) for day in self._days(place))
            for part in parts_of(directory)
            if part.from_us < newest_to_us <= part.to_us
        ]
        return max((read_provenance(path).last_us for path in holders), default=0)

    def is_waiting(self, newest_us: int, from_us: int, to_us: int) -> bool:
        """Whether a bar with a row in it can have ended."""
        return any(
            to_us // us * us > from_us and newest_us > from_us // us * us for us in self.options.bar_durations_us
        )

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """Bars with ts in `(from_us, to_us]`, an hour or the longest bar at a time."""
        from fluxforge_assets.bars import compute_bars  # noqa: PLC0415  compiled kernels load inside a run only

        step = max(self._longest_us, HOUR_US)
        start = from_us
        while start < to_us:
            stop = min((start // step + 1) * step, to_us)
            silver = self._read(place, max(start - self._longest_us, place.start_us - self._evening_us), stop)
            if silver.height:
                bars = compute_bars(silver, options=self.options, watermark_us=stop, from_us=start)
                if bars.height:
                    yield bars.sort("ts", "bar_us")
            start = stop

    def _days(self, place: Place) -> tuple[str, ...]:
        """The day, and the one before where a bar spans midnight."""
        return tuple(dict.fromkeys((date_of(place.start_us - self._evening_us), place.date)))

    def _silver(self, place: Place, day: str) -> LakePath:
        return self._lake.partition(Place(place.source, place.instrument, day), SILVER_ORDERBOOK.folder)

    def _read(self, place: Place, after_us: int, to_us: int) -> pl.DataFrame:
        """Silver rows with ts in `(after_us, to_us]`."""
        return patiently(lambda: self._read_once(place, after_us, to_us))

    def _read_once(self, place: Place, after_us: int, to_us: int) -> pl.DataFrame:
        files = [
            directory / part.name
            for day in dict.fromkeys((date_of(after_us), place.date))
            if day_start_us(day) < to_us
            for directory in [self._silver(place, day)]
            for part in parts_of(directory)
            if part.to_us > after_us and part.from_us < to_us
        ]
        if not files:
            return pl.DataFrame()
        try:
            rows = scan(files)
            return rows.filter(pl.col("ts") > after_us, pl.col("ts") <= to_us).collect().sort("ts")
        except PolarsError as error:
            for file in files:
                read_provenance(file)  # one that is damaged says so itself
            raise DataError(
                f"silver of {place.instrument.key} around {place.date} is damaged, or differs in its columns: "
                f"{str(error).splitlines()[0]}",
                "compute it again: fluxforge backfill --stale",
            ) from error
