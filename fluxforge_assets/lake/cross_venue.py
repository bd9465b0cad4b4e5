"""The recipe of cross-venue rows: an instrument's silver beside that of the same symbol on other exchanges."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fluxforge_assets.lake.archive import SILENT_COLLECTOR_US, Archive
from fluxforge_assets.lake.datasets import GOLD_CROSS_VENUE, SILVER_ORDERBOOK
from fluxforge_assets.lake.from_silver import FromSilver, shifted
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Input
from fluxforge_assets.lake.silver import SilverOrderbook
from fluxforge_collector.config.model import Config
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.storage.bucket import matching

CHUNK_US = 6 * 3_600_000_000
"""Rows are computed for this much time at once."""


class GoldCrossVenue(FromSilver):
    """Cross-venue rows of one source. A row is final once the silver of every venue in its group is complete."""

    dataset = GOLD_CROSS_VENUE

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        super().__init__(lake, config, source, archive)
        self._silver = {source: self.silver}

    def renewed(self) -> GoldCrossVenue:
        """The same over segments listed anew."""
        return GoldCrossVenue(self._lake, self._config, self._source)

    def days(self) -> range:
        """The day itself and the one a window reaches into."""
        from fluxforge_assets.gold.inputs import cross_venue_days  # noqa: PLC0415  loads only where this table is made

        return cross_venue_days(self.options)

    def inputs(self, place: Place) -> list[Input]:
        """Silver parts of every venue; and each other venue itself, since a new one changes every mean over them."""
        first_us = place.start_us - self._lookback_us
        found = []
        for venue in [place, *self.others(place)]:
            name = "" if venue == place else f"{venue.source} {venue.instrument.key} "
            if name:
                found.append(Input(name, first_us))
            found += [
                Input(f"{name}{part.name}", part.from_us)
                for day in self.days()
                for part in self.originals(shifted(venue, day))
                if part.to_us > first_us
            ]
        return found

    def until_us(self, place: Place) -> int:
        """The least any venue is complete to, but for those so far behind that nobody waits for them."""
        settled = [self._silver_of(v.source).settled_us(v, SILVER_ORDERBOOK.folder) for v in self.others(place)]
        own = self.settled_us(place)
        furthest = max([own, *settled])
        return min([own, *(us for us in settled if furthest - us <= SILENT_COLLECTOR_US)])

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """The rows with ts in `(from_us, to_us]`."""
        from fluxforge_assets.gold import compute_cross_venue  # noqa: PLC0415  as above
        from fluxforge_assets.gold.cross_venue import NEEDED  # noqa: PLC0415  as above

        others = self.others(place)
        for start in range(from_us, to_us, CHUNK_US):
            stop = min(start + CHUNK_US, to_us)

            def rows_of(venue: Place, start: int = start, stop: int = stop) -> pl.DataFrame:
                days = [shifted(venue, day) for day in self.days()]
                return self.read(days, NEEDED, start - self._lookback_us, stop)

            own = rows_of(place)
            if own.height:
                venues = {venue.instrument.key: rows_of(venue) for venue in others}
                made = compute_cross_venue(own, venues, options=self.options, watermark_us=stop, from_us=start)
                if made.height:
                    yield made

    def others(self, place: Place) -> list[Place]:
        """The same symbol on other exchanges, of any source, where it has silver rows that these rows can see."""
        from fluxforge_assets.gold.inputs import venue_groups  # noqa: PLC0415  as above

        found: dict[str, Place] = {}
        for source in self._lake.sources():
            for day in self.days():
                at = shifted(place, day)
                pattern = f"exchange=*/symbol={at.instrument.safe_symbol}/date={at.date}"
                for folder in matching(self._lake.dataset(source, SILVER_ORDERBOOK.folder), pattern):
                    exchange = folder.parts[-3].partition("=")[2]
                    venue = Place(source, Instrument(exchange, place.instrument.symbol), place.date)
                    if parts_of(folder):
                        found.setdefault(venue.instrument.key, venue)
        return [found[key] for key in venue_groups({*found, place.instrument.key})[place.instrument.key]]

    @property
    def _lookback_us(self) -> int:
        from fluxforge_assets.gold.cross_venue import lookback_us  # noqa: PLC0415  as above

        return lookback_us(self.options)

    def _silver_of(self, source: str) -> SilverOrderbook:
        if source not in self._silver:
            self._silver[source] = SilverOrderbook(self._lake, self._config, source)
        return self._silver[source]
