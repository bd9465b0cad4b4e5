"""How much of a span is here: the seconds of it that gaps take, overlapping ones counted once."""

from __future__ import annotations

import polars as pl

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bronze import gap_table
from fluxforge_assets.lake.paths import Lake, Place


def gap_seconds(lake: Lake, place: Place, from_us: int, to_us: int) -> float:
    """Seconds of `[from_us, to_us)` that lie in a gap of any channel of the instrument."""
    if to_us <= from_us:
        return 0.0
    rows = pl.DataFrame(gap_table(Archive(lake, place.source), place.instrument, from_us, to_us))
    spans = rows.select(pl.col("gap_start", "gap_end").cast(pl.Int64).clip(from_us, to_us)).sort("gap_start").rows()
    total, reached = 0, from_us
    for start, end in spans:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total / 1e6
