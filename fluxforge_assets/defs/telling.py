"""Telling Dagster what a real-time run changed: gathered by partition, told while nothing waits to be computed.

An event costs as much as computing some seconds of its partition, and the checks read the whole day. So a partition is
told at once where it is new or was built again, else about every `TELL_US` of its data, and judged about every
`JUDGE_US`, each at its own time; what is left when the run ends. Dagster's page no longer shows what earlier runs found
of an asset once a run tells of it, so every run judges a partition of each asset, and the asset as a whole, at once.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from functools import partial

import dagster as dg

from fluxforge_assets.defs import completeness, staleness
from fluxforge_assets.defs.bronze import DESCRIPTIONS, bronze_key, of_date
from fluxforge_assets.defs.checks import evaluations
from fluxforge_assets.defs.processed import of_realtime
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_collector.config.model import Config

TELL_US = 300_000_000
JUDGE_US = 12 * TELL_US
JUDGED_AT_ONCE = 5


class Untold:
    """Changes that Dagster has not been told of: processed partitions, and dates of bronze."""

    def __init__(
        self, context: dg.OpExecutionContext, lake: Lake, config: Config, archives: Mapping[str, Archive]
    ) -> None:
        self._context, self._lake, self._config, self._archives = context, lake, config, archives
        self._changes: dict[tuple[Dataset, Place], Change] = {}
        self._landed: set[str] = set()
        self._unjudged: dict[Dataset, list[Place]] = {}
        self._told_s: dict[str, float] = {}
        """When a date of bronze was told of last."""
        self._judged_s: dict[str, float] = {}
        """When what an asset holds was judged last as a whole, by its name; bronze under one."""

    def __repr__(self) -> str:
        return f"<Untold {len(self._changes)} partitions, {len(self._landed)} dates of bronze>"

    def landed(self, date: str) -> None:
        """Segments of a date have landed."""
        self._landed.add(date)

    def changed(self, change: Change) -> None:
        """A partition has changed, once more perhaps."""
        known = (change.dataset, change.place)
        before = self._changes.get(known)
        self._changes[known] = before.followed_by(change) if before else change

    def tell_due(self, is_interrupted: Callable[[], bool]) -> None:
        """Tell what is due, until something more urgent comes."""
        now = time.monotonic()
        dates = {d for d in self._landed if now - self._told_s.get(d, -TELL_US) >= TELL_US / 1e6}
        self._tell(dates, [change for change in self._changes.values() if _is_due(change, TELL_US)], is_interrupted)

    def tell_all(self) -> None:
        """Tell everything, at the end of a run."""
        self._tell(set(self._landed), list(self._changes.values()), lambda: False)

    def _tell(self, dates: set[str], changes: list[Change], is_interrupted: Callable[[], bool]) -> None:
        for date in sorted(dates):
            for channel in DESCRIPTIONS:
                shown = of_date(list(self._archives.values()), channel, date)
                self._context.log_event(dg.AssetMaterialization(bronze_key(channel), partition=date, metadata=shown))
            self._landed.remove(date)
            self._told_s[date] = time.monotonic()
        if dates:
            self._judge_whole("bronze", lambda: completeness.evaluations(self._lake, self._config))
        told: dict[Dataset, Place] = {}
        for change in changes:
            if is_interrupted():
                return
            self._context.log_event(of_realtime(self._lake, change, self._archives[change.place.source]))
            del self._changes[change.dataset, change.place]
            told.setdefault(change.dataset, change.place)
            if _is_due(change, JUDGE_US):
                self._unjudged.setdefault(change.dataset, []).append(change.place)
        for dataset, place in told.items():
            if dataset.asset not in self._judged_s:
                self._unjudged.setdefault(dataset, [place])
            self._judge_whole(dataset.asset, partial(self._configuration, dataset))
        while self._unjudged and not is_interrupted():
            self._judge_some()

    def _configuration(self, dataset: Dataset) -> list[dg.AssetCheckEvaluation]:
        return [staleness.evaluation(self._context.instance, self._lake, self._config, dataset)]

    def _judge_whole(self, asset: str, judge: Callable[[], list[dg.AssetCheckEvaluation]]) -> None:
        """Judge what is looked at as a whole, where this run has not for `JUDGE_US`."""
        now = time.monotonic()
        if now - self._judged_s.get(asset, -JUDGE_US) < JUDGE_US / 1e6:
            return
        self._judged_s[asset] = now
        self._log(judge())

    def _judge_some(self) -> None:
        """Judge a few partitions of one dataset: all at once would keep the next segment waiting."""
        dataset, places = next(iter(self._unjudged.items()))
        some, rest = places[:JUDGED_AT_ONCE], places[JUDGED_AT_ONCE:]
        self._log(evaluations(self._lake, self._config, dataset, some, self._archives))
        if rest:
            self._unjudged[dataset] = rest
        else:
            del self._unjudged[dataset]

    def _log(self, found: list[dg.AssetCheckEvaluation]) -> None:
        for evaluation in found:
            # Dagster takes a check here, though its annotation does not say so
            self._context.log_event(evaluation)  # type: ignore[arg-type]


def _is_due(change: Change, every_us: int) -> bool:
    """Whether the partition is new, was built again, or its data passes its own multiple of so many microseconds."""
    own_us = zlib.crc32(change.place.instrument.key.encode()) % every_us
    is_passed = (change.from_us + own_us) // every_us != (change.to_us + own_us) // every_us
    return is_passed or change.is_rebuilt or change.rows == change.total_rows
