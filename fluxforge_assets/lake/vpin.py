"""The recipe of VPIN: silver volumes of the day and of the two before it."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from fluxforge_assets.lake.datasets import GOLD_VPIN
from fluxforge_assets.lake.from_silver import FromSilver, shifted
from fluxforge_assets.lake.paths import Place
from fluxforge_assets.lake.recipe import Input


class GoldVpin(FromSilver):
    """VPIN of one source. A bucket is final once silver is complete up to the row that filled it."""

    dataset = GOLD_VPIN

    def renewed(self) -> GoldVpin:
        """The same over segments listed anew."""
        return GoldVpin(self._lake, self._config, self._source)

    def days(self) -> range:
        """The day itself, and those whose volume sets its buckets."""
        from fluxforge_assets.gold.inputs import vpin_days  # noqa: PLC0415  loads only where VPIN is made

        return vpin_days(self.options)

    def inputs(self, place: Place) -> list[Input]:
        """All silver parts of these days."""
        return [Input(part.name, part.from_us) for day in self.days() for part in self.originals(shifted(place, day))]

    def until_us(self, place: Place) -> int:
        """Up to when silver is complete; the day's start until the days before are."""
        return self.settled_after_us(place, [shifted(place, day) for day in self.days() if day < 0])

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """The buckets filled in `(from_us, to_us]`."""
        from fluxforge_assets.gold import compute_vpin  # noqa: PLC0415  as above

        places = [shifted(place, day) for day in self.days()]
        silver = self.read(places, ("buy_vol", "sell_vol"), places[0].start_us, to_us)
        if silver.height:
            made = compute_vpin(silver, options=self.options, watermark_us=to_us, from_us=from_us)
            if made.height:
                yield made.sort("ts", "vpin_bucket")
