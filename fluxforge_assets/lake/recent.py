"""The newest rows of a stored partition, for a look at them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.scanning import scan

MOST_PARTS = 60
LEAST_BARS = 30


def recent(lake: Lake, dataset: Dataset, place: Place, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of the newest parts, in order of time; columns that are not stored are left out.

    Of bars, those of the longest duration of which there are `LEAST_BARS`, or else of the shortest.
    """
    directory = lake.partition(place, dataset.folder)
    files = [directory / part.name for part in parts_of(directory)[-MOST_PARTS:]]
    if not files:
        return pl.DataFrame()
    rows = scan(files)
    stored = rows.collect_schema().names()
    frame = rows.select(n for n in stored if n in {*columns, "ts", "bar_us"}).collect()
    if "bar_us" not in frame.columns:
        return frame
    counts = frame.group_by("bar_us").len().sort("bar_us")
    enough = counts.filter(pl.col("len") >= LEAST_BARS)["bar_us"]
    chosen = enough.max() if enough.len() else counts["bar_us"].min()
    return frame.filter(pl.col("bar_us") == chosen)
