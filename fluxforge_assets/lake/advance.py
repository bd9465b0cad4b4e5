"""Bringing a processed partition up to date: append what is final and new, or build a range again.

A partition is a pure function of its inputs up to a watermark. What a recipe computes is its own business; here stands
when it is asked, for which range, and how its rows become parts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.parts import (
    Part,
    Provenance,
    digest_of,
    parts_of,
    read_provenance,
    weight,
    write_part,
)
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change, Input, Recipe, Writer
from fluxforge_assets.lake.replacing import finish
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.lake.swap import discard, keep, new_directory, swap
from fluxforge_assets.lake.tries import forget, name_of
from fluxforge_collector.errors import DataError, FluxForgeError, StorageError
from fluxforge_collector.storage.bucket import LakePath, refusal


@dataclass
class _Known:
    """The state of a partition, from its newest part; all parts are read only where something came late."""

    directory: LakePath
    parts: list[Part]
    newest: Provenance | None

    @classmethod
    def of(cls, directory: LakePath) -> _Known:
        parts = parts_of(directory)
        newest = read_provenance(directory / max(parts, key=lambda p: p.to_us).name) if parts else None
        return cls(directory, parts, newest)

    def to_us(self, place: Place) -> int:
        return max((part.to_us for part in self.parts), default=place.start_us)

    def used(self) -> set[str]:
        return {name for part in self.parts for name in read_provenance(self.directory / part.name).inputs}


@contextmanager
def in_our_words() -> Iterator[None]:
    """Turn what libraries raise over a partition into an error that says whether the data or the disk is to blame."""
    try:
        yield
    except FluxForgeError:
        raise
    except (PolarsError, pa.ArrowException, OSError) as error:
        said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        if refused := refusal(error):
            raise refused from error
        if getattr(error, "errno", None) is not None:
            raise StorageError(said, "check space and rights of the lake's root") from error
        raise DataError(said, "materialise it again") from error


@in_our_words()
def advance(lake: Lake, recipe: Recipe, place: Place) -> Change | None:
    """Append the rows that became final; build again what late inputs change. None where nothing is new.

    Raises: DataError where an input cannot be read, StorageError where the disk refuses; the partition stays as it was.
    """
    directory = lake.partition(place, recipe.dataset.folder)
    with locked(lake, lock_name(recipe.dataset, place)):
        finish(directory)
        known = _Known.of(directory)
        inputs = recipe.inputs(place)
        frontier = known.to_us(place)
        late, fresh = _sort_inputs(known, inputs, frontier)
        until = recipe.until_us(place)
        starts = [i.from_us for i in late]
        disturbed = recipe.changed_from_us(place, fresh)
        if disturbed is not None and disturbed < frontier:
            starts.append(disturbed)
        if known.newest and known.newest.fingerprint != recipe.fingerprint:
            starts.append(place.start_us)
        if starts and known.parts:
            start = max(place.start_us, min(starts) // recipe.grid_us * recipe.grid_us)
            return _rebuild(lake, recipe, place, start, max(until, frontier))
        newest = max(recipe.newest_us(place, fresh), known.newest.seen_us if known.newest else 0)
        if until <= frontier or not recipe.is_waiting(newest, frontier, until):
            return None
        return Writer(lake, recipe, place, directory, known.newest, inputs, fresh).write(frontier, until)


@in_our_words()
def replace(lake: Lake, recipe: Recipe, place: Place) -> Change:
    """Compute a partition anew from all its inputs and put it in place of the old one in one step.

    The bulk is computed while real-time runs go on; what became final meanwhile is added under the lock.
    """
    inputs, until = recipe.inputs(place), recipe.until_us(place)
    if parts_of(lake.partition(place, recipe.dataset.folder)) and (not inputs or until <= place.start_us):
        missing = "nothing is left" if not inputs else "not all is there"
        raise DataError(
            f"{missing} to compute {recipe.dataset.asset} of {place.instrument.key} on {place.date} from",
            "what is stored stays as it is",
        )
    made = new_directory(lake.work)
    change = Writer(lake, recipe, place, made, None, inputs, inputs).write(place.start_us, max(until, place.start_us))
    with locked(lake, lock_name(recipe.dataset, place)):
        directory = lake.partition(place, recipe.dataset.folder)
        meanwhile = recipe.renewed()
        until = meanwhile.until_us(place)
        known = _Known.of(made)
        if until > change.to_us and known.newest:
            _, fresh = _sort_inputs(known, meanwhile.inputs(place), change.to_us)
            writer = Writer(lake, meanwhile, place, made, known.newest, meanwhile.inputs(place), fresh)
            change = change.followed_by(writer.write(change.to_us, until))
        if parts_of(made) or directory.exists():
            swap(made, directory)
        else:
            discard(made)
        forget(lake, place.source, place.date, name_of(recipe.dataset.asset, place))
    change.is_rebuilt = True
    return change


def lock_name(dataset: Dataset, place: Place) -> str:
    """The lock that guards a partition's directory."""
    return f"{place.source} {dataset.asset} {place.instrument.key} {place.date}"


def _sort_inputs(known: _Known, inputs: list[Input], frontier: int) -> tuple[list[Input], list[Input]]:
    """The inputs that came late, and all that no part has used."""
    earlier = [i for i in inputs if i.from_us < frontier]
    newer = [i for i in inputs if i.from_us >= frontier]
    if known.newest is None:
        return [], inputs
    if (len(earlier), digest_of([i.name for i in earlier])) == (known.newest.count, known.newest.digest):
        return [], newer
    used = known.used()
    late = [i for i in earlier if i.name not in used]
    return late, [*late, *newer]


def _rebuild(lake: Lake, recipe: Recipe, place: Place, start_us: int, until_us: int) -> Change:
    """Build the partition from `start_us` on; parts before it are linked, one across it is cut."""
    directory = lake.partition(place, recipe.dataset.folder)
    made = new_directory(lake.work)
    inputs = recipe.inputs(place)
    used: set[str] = set()
    kept: Provenance | None = None
    for part in parts_of(directory):
        if part.from_us >= start_us:
            continue
        known = read_provenance(directory / part.name)
        used.update(known.inputs)
        if part.to_us <= start_us:
            keep(directory / part.name, made)
            kept = known
            continue
        frame = _cut(scan([directory / part.name]).collect(), recipe, start_us)
        if frame.height:
            rows = (kept.rows if kept else 0) + frame.height
            kept = dataclasses.replace(known, rows=rows, last_us=int(frame["ts"][-1]), merged=())
            write_part(made, lake.work, frame, recipe.columns, (part.from_us, start_us), kept, recipe.dataset.key)
    fresh = [i for i in inputs if i.name not in used]
    change = Writer(lake, recipe, place, made, kept, inputs, fresh).write(start_us, until_us)
    change.is_rebuilt = True
    swap(made, directory)
    change.files, change.size = weight(directory)
    return change


def _cut(frame: pl.DataFrame, recipe: Recipe, start_us: int) -> pl.DataFrame:
    """The rows before an instant: events before it, buckets and bars that end at it or before."""
    return frame.filter(pl.col("ts") < start_us if recipe.grid_us == 1 else pl.col("ts") <= start_us)
