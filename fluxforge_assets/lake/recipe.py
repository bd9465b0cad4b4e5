"""Recipes and their rows on disk: what a recipe must answer, and how what it computes becomes parts with provenance."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import polars as pl

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.parts import KEYS, Provenance, digest_of, weight, write_part
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.tables import Column
from fluxforge_collector.storage.bucket import LakePath

GLIMPSE_ROWS, GLIMPSE_COLUMNS = 5, 9
"""What is kept in hand of a change, to be shown: hundreds of partitions wait until they are told of."""

PART_ROWS = 20_000
"""Rows gathered before a part is written while much is computed at once."""


class Input(NamedTuple):
    """Something rows are made from, by name, and the earliest time it can say anything about."""

    name: str
    from_us: int


class Recipe(Protocol):
    """How the rows of one dataset come from its inputs."""

    dataset: Dataset
    columns: tuple[Column, ...]
    fingerprint: str
    grid_us: int
    """Parts begin and end on multiples of this."""
    keeps_empty: bool
    """Whether a span of inputs without a single row is recorded, so that it is not computed again."""

    def inputs(self, place: Place) -> list[Input]:
        """All inputs that can touch the partition."""

    def until_us(self, place: Place) -> int:
        """Rows up to here are final; at most the day's end."""

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """The rows of `[from_us, to_us)`, in order, in frames of bounded size."""

    def changed_from_us(self, place: Place, fresh: Sequence[Input]) -> int | None:
        """The earliest time before which new inputs change nothing; None where they only add."""

    def newest_us(self, place: Place, fresh: Sequence[Input]) -> int:
        """The newest row of the instrument in these inputs; 0 where there is none."""

    def renewed(self) -> Recipe:
        """The same recipe over inputs listed anew."""

    def is_waiting(self, newest_us: int, from_us: int, to_us: int) -> bool:
        """Whether rows in `[from_us, to_us)` can come from inputs whose newest row is `newest_us`."""


@dataclass
class Change:
    """What became of a partition: the rows written, its span, and the parts it has now."""

    place: Place
    dataset: Dataset
    fingerprint: str
    from_us: int
    to_us: int
    is_rebuilt: bool
    rows: int = 0
    total_rows: int = 0
    nulls: int = 0
    cells: int = 0
    seconds: float = 0.0
    files: int = 0
    size: int = 0
    glimpse: pl.DataFrame = field(default_factory=pl.DataFrame)

    def followed_by(self, later: Change) -> Change:
        """Both changes as one."""
        return dataclasses.replace(
            later,
            from_us=self.from_us,
            rows=self.rows + later.rows,
            nulls=self.nulls + later.nulls,
            cells=self.cells + later.cells,
            seconds=self.seconds + later.seconds,
            glimpse=later.glimpse if later.glimpse.height else self.glimpse,
        )


class Writer:
    """Writes a recipe's rows as parts of a directory, each with its provenance."""

    def __init__(
        self,
        lake: Lake,
        recipe: Recipe,
        place: Place,
        directory: LakePath,
        before: Provenance | None,
        inputs: Sequence[Input],
        fresh: Sequence[Input],
    ) -> None:
        self._lake, self._recipe, self._place, self._directory = lake, recipe, place, directory
        self._inputs, self._fresh = inputs, list(fresh)
        self._last = before or Provenance(recipe.fingerprint, place.start_us)
        self._seen_us = max(recipe.newest_us(place, fresh), self._last.seen_us)

    def write(self, from_us: int, to_us: int) -> Change:
        """Compute and write the rows of `[from_us, to_us)`."""
        began = time.monotonic()
        recipe, place = self._recipe, self._place
        change = Change(place, recipe.dataset, recipe.fingerprint, from_us, to_us, is_rebuilt=False)
        held: list[pl.DataFrame] = []
        start = from_us
        for frame in recipe.rows(place, from_us, to_us) if to_us > from_us else ():
            if sum(f.height for f in held) >= PART_ROWS:
                whole = pl.concat(held)
                stop = int(whole["ts"][-1])
                self._part(whole, start, stop, change)
                start, held = stop, []
            held.append(self._named(frame))
        if held:
            self._part(pl.concat(held), start, to_us, change)
        elif recipe.keeps_empty and recipe.is_waiting(self._seen_us, from_us, to_us):
            self._part(_empty(recipe.columns), start, to_us, change)
        change.total_rows = self._last.rows
        change.files, change.size = weight(self._directory)
        change.seconds = time.monotonic() - began
        return change

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows with the partition's own names, so that column and folder never disagree."""
        exchange, _, symbol = self._place.instrument.key.partition(":")
        return frame.with_columns(
            pl.lit(exchange).alias("exchange"), pl.lit(symbol).alias("symbol"), pl.lit(self._place.date).alias("date")
        ).select(c.name for c in self._recipe.columns)

    def _part(self, frame: pl.DataFrame, from_us: int, to_us: int, change: Change) -> None:
        recipe = self._recipe
        earlier = [i for i in self._inputs if i.from_us < to_us]
        new = [i for i in self._fresh if i.from_us < to_us]
        self._fresh = [i for i in self._fresh if i.from_us >= to_us]
        self._last = Provenance(
            recipe.fingerprint,
            to_us,
            tuple(i.name for i in new),
            len(earlier),
            digest_of([i.name for i in earlier]),
            self._seen_us,
            self._last.rows + frame.height,
            int(frame["ts"][-1]) if frame.height else self._last.last_us,
        )
        # the span begins where its first row does, or what gave none: a quiet stretch before belongs to no part,
        # and what is made from the parts does not take one that follows a silence for late
        begin = from_us
        if frame.height and recipe.grid_us > 1:
            begin = max(from_us, int(frame["ts"][0]) - self._reach(frame))
        elif not frame.height:
            begin = max(from_us, min(self._seen_us, to_us - 1) // recipe.grid_us * recipe.grid_us)
        write_part(
            self._directory, self._lake.work, frame, recipe.columns, (begin, to_us), self._last, recipe.dataset.key
        )
        change.rows += frame.height
        change.nulls += sum(frame.null_count().row(0))
        change.cells += frame.height * frame.width
        change.glimpse = _glimpse(frame, recipe.dataset)

    def _reach(self, frame: pl.DataFrame) -> int:
        """How far the first row reaches back from its stamp."""
        return int(frame["bar_us"][0]) if "bar_us" in frame.columns else self._recipe.grid_us


def _glimpse(frame: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """The newest rows: the key, what is drawn, then the first columns with values."""
    rows = frame.tail(GLIMPSE_ROWS)
    apart = {*KEYS, *dataset.key}
    names = [name for name in rows.columns if name not in apart and rows[name].null_count() < rows.height]
    first = [name for name in ("mid", *dataset.drawn) if name in names]
    chosen = rows.select([*dataset.key, *dict.fromkeys([*first, *names])][:GLIMPSE_COLUMNS])
    return pl.DataFrame(chosen.to_dict(as_series=False))  # of its own: a slice would hold all that it was cut from


def _empty(columns: Sequence[Column]) -> pl.DataFrame:
    return pl.DataFrame(schema={c.name: c.dtype.polars for c in columns})
