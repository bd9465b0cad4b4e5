"""The recipe of labels: silver of the day, of what follows as far as labels look, and the last mid before it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fluxforge_assets.lake.datasets import GOLD_LABELS
from fluxforge_assets.lake.from_silver import FromSilver, shifted
from fluxforge_assets.lake.paths import Place
from fluxforge_assets.lake.recipe import Input

CHUNK_US = 6 * 3_600_000_000
"""Labels are computed for this much time at once; the longest of them looks as far again and more."""


class GoldLabels(FromSilver):
    """Labels of one source. A row is final, and stored, once its longest window has ended."""

    dataset = GOLD_LABELS

    def renewed(self) -> GoldLabels:
        """The same over segments listed anew."""
        return GoldLabels(self._lake, self._config, self._source)

    def days(self) -> range:
        """The day before for its last mid, and those the labels look into."""
        from fluxforge_assets.gold.inputs import label_days  # noqa: PLC0415  loads only where labels are made

        return label_days(self.options)

    def inputs(self, place: Place) -> list[Input]:
        """Silver parts, each from the first row whose labels can see it."""
        first_us, last_us = place.start_us - self.options.max_gap_us, place.end_us + self._ahead_us
        return [
            Input(part.name, part.from_us - self._ahead_us)
            for day in self.days()
            for part in self.originals(shifted(place, day))
            if part.to_us > first_us and part.from_us < last_us
        ]

    def until_us(self, place: Place) -> int:
        """Up to when the longest label window has ended, at most the day's end."""
        settled = place.start_us
        for day in self.days():
            later = shifted(place, day)
            if day < 0:
                continue
            settled = self.settled_us(later)
            if settled < later.end_us:
                break
        until = (settled - self._ahead_us) // self.grid_us * self.grid_us
        return min(max(until, place.start_us), place.end_us)

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """Labels of the rows with ts in `(from_us, to_us]`."""
        from fluxforge_assets.labels import compute_labels  # noqa: PLC0415  as above
        from fluxforge_assets.labels.forward import NEEDED  # noqa: PLC0415  as above

        places = [shifted(place, day) for day in self.days()]
        for start in range(from_us, to_us, CHUNK_US):
            stop = min(start + CHUNK_US, to_us)
            seen_us = stop + self._ahead_us
            silver = self.read(places, NEEDED, start - self.options.max_gap_us - self.grid_us, seen_us)
            if silver.height:
                labels = compute_labels(silver, options=self.options, watermark_us=seen_us, from_us=start)
                made = labels.filter(pl.col("ts") <= stop)
                if made.height:
                    yield made

    @property
    def _ahead_us(self) -> int:
        from fluxforge_assets.labels.table import longest_label_us  # noqa: PLC0415  as above

        return longest_label_us(self.options)
