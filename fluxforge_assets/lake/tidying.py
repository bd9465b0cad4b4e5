"""Keeping an open day in few files: what real time appends minute by minute becomes a part an hour.

Without it a partition has 1,440 parts in the evening, and whoever lists or reads it pays for each. How: `parts_merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fluxforge_assets.lake.compacted import Compacted
from fluxforge_assets.lake.compaction import NotCompacted
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.parts_merge import merge_appended
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_collector.config.model import Compaction
from fluxforge_collector.errors import FluxForgeError


class Untidy:
    """Partitions that may have too many parts."""

    def __init__(self, lake: Lake, options: Compaction) -> None:
        self._lake, self._options = lake, options
        self._known: dict[tuple[Dataset, Place], None] = {}

    def __repr__(self) -> str:
        return f"<Untidy {len(self._known)} partitions>"

    def changed(self, change: Change) -> None:
        """A partition has changed: it is looked at where it has many parts."""
        if change.files >= self._options.open_day_parts and self._options.enabled:
            self._known[change.dataset, change.place] = None

    def tidy(self, is_interrupted: Callable[[], bool]) -> Iterator[Compacted | NotCompacted]:
        """Merge partition by partition, until something more urgent comes; one that fails is as it was."""
        while self._known and not is_interrupted():
            dataset, place = next(iter(self._known))
            del self._known[dataset, place]
            try:
                done = merge_appended(self._lake, dataset, place, self._options)
            except FluxForgeError as error:
                yield NotCompacted(dataset.asset, f"{place.date}|{place.instrument.key}", error)
            else:
                if done is not None:
                    yield done
