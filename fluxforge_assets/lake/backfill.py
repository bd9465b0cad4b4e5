"""Planning a backfill: which partitions go together, in runs of bounded size, and how long it may take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

RUN_SECONDS = 4.0
"""What a run costs before it computes anything: a process, Dagster's import, the code location."""


class Batch(NamedTuple):
    """Partitions that are computed together: the same assets for every key, sorted `date|instrument` keys."""

    assets: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def dates(self) -> list[str]:
        """The dates of the keys, sorted."""
        return sorted({key.partition("|")[0] for key in self.keys})

    @property
    def instruments(self) -> list[str]:
        """The instruments of the keys, sorted."""
        return sorted({key.partition("|")[2] for key in self.keys})

    @property
    def runs(self) -> int:
        """Runs it takes where its keys are a whole rectangle, the usual case; a ragged set takes more, and smaller."""
        return min(len(self.dates), len(self.instruments))

    @property
    def partitions(self) -> int:
        """Partitions it computes, over all its assets."""
        return len(self.assets) * len(self.keys)


def plan(wanted: Mapping[str, Iterable[str]], run_size: int) -> list[Batch]:
    """Batches covering the wanted keys of each asset, oldest first, none of whose runs exceeds `run_size` keys.

    Dagster computes a rectangle of dates × instruments in one run per row or column of it, so a batch spans at most
    `run_size` of either.
    """
    assets_of: dict[str, list[str]] = {}
    for asset, keys in wanted.items():
        for key in keys:
            assets_of.setdefault(key, []).append(asset)
    made = []
    by_assets = sorted((tuple(assets), key) for key, assets in assets_of.items())
    for assets, pairs in groupby(by_assets, key=lambda pair: pair[0]):
        made += [Batch(assets, block) for block in _blocks([key for _, key in pairs], run_size)]
    return sorted(made, key=lambda batch: (batch.keys[0], batch.assets))


def _blocks(keys: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The keys, in blocks of at most `size` dates and `size` instruments."""
    pairs = [key.split("|", 1) for key in keys]
    rank_of_date = {date: rank for rank, date in enumerate(sorted({date for date, _ in pairs}))}
    rank_of_name = {name: rank for rank, name in enumerate(sorted({name for _, name in pairs}))}
    blocks: dict[tuple[int, int], list[str]] = {}
    for date, name in pairs:
        blocks.setdefault((rank_of_date[date] // size, rank_of_name[name] // size), []).append(f"{date}|{name}")
    return [tuple(sorted(block)) for _, block in sorted(blocks.items())]


def estimate_seconds(batches: Sequence[Batch], elapsed: Mapping[str, Sequence[float]]) -> float | None:
    """Seconds the batches may take, one run at a time, from what partitions took before.

    `elapsed` holds, per asset, the seconds of partitions computed as a whole. None where an asset has none.
    """
    total = 0.0
    for batch in batches:
        total += batch.runs * RUN_SECONDS
        for asset in batch.assets:
            past = elapsed.get(asset)
            if not past:
                return None
            total += len(batch.keys) * math.fsum(past) / len(past)
    return total
