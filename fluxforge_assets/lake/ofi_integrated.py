"""The recipe of integrated OFI: silver rows of the day, weighted by loadings fitted to the days before it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fluxforge_assets.lake.datasets import GOLD_OFI_INTEGRATED
from fluxforge_assets.lake.from_silver import FromSilver, shifted
from fluxforge_assets.lake.paths import Place
from fluxforge_assets.lake.recipe import Input


class GoldOfiIntegrated(FromSilver):
    """Integrated OFI of one source. A row is final with its silver row, once the training days are complete."""

    dataset = GOLD_OFI_INTEGRATED

    def renewed(self) -> GoldOfiIntegrated:
        """The same over segments listed anew."""
        return GoldOfiIntegrated(self._lake, self._config, self._source)

    def days(self) -> range:
        """The training days and the day itself."""
        return range(-self.options.pca_days, 1)

    def inputs(self, place: Place) -> list[Input]:
        """All silver parts of these days."""
        return [Input(part.name, part.from_us) for day in self.days() for part in self.originals(shifted(place, day))]

    def until_us(self, place: Place) -> int:
        """Up to when silver is complete; the day's start until the training days are."""
        return self.settled_after_us(place, self._training(place))

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """The rows with ts in `(from_us, to_us]`."""
        from fluxforge_assets.gold.ofi_integrated import (  # noqa: PLC0415  loads only where this table is made
            compute_ofi_integrated,
            day_moments,
        )

        names = (*(f"ofi_l{level}" for level in range(self.options.ofi_levels)), "depth_lk_mean", "n_pair")
        days = (self.read([day], names, day.start_us, day.end_us) for day in self._training(place))
        training = [day_moments(day, self.options) for day in days if day.height]
        silver = self.read([place], names, from_us, to_us)
        if silver.height:
            yield compute_ofi_integrated(silver, training, options=self.options, watermark_us=to_us, from_us=from_us)

    def _training(self, place: Place) -> list[Place]:
        return [shifted(place, day) for day in self.days() if day < 0]
