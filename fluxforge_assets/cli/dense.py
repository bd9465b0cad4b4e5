"""`query --dense`: silver with a row at every instant of its grid, computed from the sparse rows; nothing is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    import polars as pl

    from fluxforge_assets.lake.paths import Lake
    from fluxforge_assets.lake.reading import Wanted
    from fluxforge_collector.config.features import FeatureOptions

ASSET = "silver/orderbook"


def dense_rows(lake: Lake, wanted: Wanted, options: FeatureOptions) -> pl.DataFrame:
    """The dense view of every instrument wanted, from its first row to its newest, in order of time.

    Silver is read from two of the largest horizons and `max_gap` before the first instant. Raises: DataError.
    """
    import polars as pl

    from fluxforge_assets.features.dense import dense_view
    from fluxforge_assets.lake.paths import day_start_us, next_date
    from fluxforge_assets.lake.reading import open_asset

    if wanted.date is not None:
        # a row's stamp is the end of its bucket, so the date's last row ends with the next date
        first, end = day_start_us(wanted.date) + 1, day_start_us(next_date(wanted.date)) + 1
        from_us, to_us = max(first, wanted.from_us or first), min(end, wanted.to_us or end)
        wanted = replace(wanted, date=None, from_us=from_us, to_us=to_us)
    reach_us = 2 * max(options.horizons_us) + options.max_gap_us
    earlier = None if wanted.from_us is None else wanted.from_us - reach_us
    known = open_asset(lake, ASSET, replace(wanted, to_us=None, from_us=earlier))
    ends = known.group_by("exchange", "symbol").agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
    made = []
    for exchange, symbol, first_us, last_us in ends.sort("exchange", "symbol").collect().rows():
        from_us = max(wanted.from_us or first_us, first_us)
        to_us = last_us if wanted.to_us is None else min(wanted.to_us - 1, last_us)
        if from_us <= to_us:
            is_own = (pl.col("exchange") == exchange) & (pl.col("symbol") == symbol)
            silver = known.filter(is_own, pl.col("ts") <= to_us).drop("date").collect()
            made.append(dense_view(silver, options=options, from_us=from_us - 1, to_us=to_us))
    if not made:
        raise FluxForgeError("there are no silver rows in this time", "choose another --from, --to or --last")
    return pl.concat(made).sort("ts", "exchange", "symbol")
