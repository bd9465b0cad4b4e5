"""Faults of processed partitions: parts that overlap, stand in another partition's folder, or were being replaced."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from fluxforge_assets.lake.advance import lock_name, replace
from fluxforge_assets.lake.datasets import DATASETS, Dataset
from fluxforge_assets.lake.landing import landing_lock
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import mark
from fluxforge_assets.lake.parts import KEYS, Part, parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.places import Selection, stored_places
from fluxforge_assets.lake.reading import patiently
from fluxforge_assets.lake.repair import Dates, Fault, copy_aside
from fluxforge_assets.lake.replacing import NOTE, finish
from fluxforge_assets.lake.update import recipe_of
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import DataError, FluxForgeError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.storage.bucket import BucketPath, LakePath, readable, refusal
from fluxforge_collector.storage.changes import delete, move

Keys = tuple[str, ...]


def part_faults(lake: Lake, config: Config, dates: Dates) -> Iterator[Fault]:
    """What is wrong with the processed partitions of every dataset."""
    for dataset in DATASETS:
        for place in stored_places(lake, dataset, Selection(first=dates.first, last=dates.last)):
            try:
                yield from patiently(lambda: list(_of_partition(lake, config, dataset, place)))  # noqa: B023  at once
            except FluxForgeError as error:
                directory = lake.partition(place, dataset.folder)
                yield Fault("unreadable", directory, error.message, error.remedy)


def _of_partition(lake: Lake, config: Config, dataset: Dataset, place: Place) -> Iterator[Fault]:
    directory = lake.partition(place, dataset.folder)
    if isinstance(directory, BucketPath) and (directory / NOTE).is_file():
        remedy = partial(_finish, lake, dataset, place)
        yield Fault("replacement", directory / NOTE, "a replacement that was broken off", "finish or undo it", remedy)
    own = []
    for part in parts_of(directory):
        try:
            keys = _keys(directory / part.name)
        except FileNotFoundError:
            raise
        except (OSError, pa.ArrowException) as error:
            if refused := refusal(error):
                raise refused from error
            remedy = partial(_take_out, lake, config, dataset, place, part)
            yield Fault("unreadable", directory / part.name, f"it cannot be read: {error}", _ANEW, remedy)
            continue
        if keys is not None and keys != _named(place):
            yield _mismatch(lake, config, dataset, place, part, keys)
        else:
            own.append(part)
    for part, because in _overlapped(directory, own):
        remedy = partial(_take_out, lake, config, dataset, place, part)
        yield Fault("overlap", directory / part.name, f"its rows are also in {because.name}", _ANEW, remedy)


_ANEW = "move it aside, compute the partition anew"


def _overlapped(directory: LakePath, parts: list[Part]) -> Iterator[tuple[Part, Part]]:
    """Parts to give up, each with the one that stays: what was merged into another, else the older of the two."""
    held: Part | None = None
    for part in parts:
        if held is None or part.from_us >= held.to_us:
            held = part
            continue
        stays = max((held, part), key=lambda one: _precedence(directory, one))
        yield (held if stays is part else part), stays
        held = stays


def _precedence(directory: LakePath, part: Part) -> tuple[bool, float, int]:
    path = directory / part.name
    return part.is_merged, path.stat().st_mtime, read_provenance(path).rows


def _mismatch(lake: Lake, config: Config, dataset: Dataset, place: Place, part: Part, keys: Keys) -> Fault:
    """A part whose columns name another partition than its folder."""
    path = lake.partition(place, dataset.folder) / part.name
    problem = f"its rows are of {', '.join(keys)}"
    target = _place_of(place.source, keys)
    if target is not None:
        there = lake.partition(target, dataset.folder)
        taken = any(p.from_us < part.to_us and part.from_us < p.to_us for p in parts_of(there))
        if not taken:
            remedy = partial(_move, lake, dataset, place, target, part)
            return Fault("mismatch", path, problem, f"move it to {target.folder}", remedy)
    return Fault("mismatch", path, problem, _ANEW, partial(_take_out, lake, config, dataset, place, part))


def _place_of(source: str, keys: Keys) -> Place | None:
    try:
        place = Place(source, Instrument.from_key(f"{keys[0]}:{keys[1]}"), keys[2])
        place.start_us  # noqa: B018  raises where it is no date
    except (FluxForgeError, IndexError):
        return None
    return place


def _keys(path: LakePath) -> Keys | None:
    """The partition that a part's columns name, from its footer; None for one without rows."""
    metadata = pq.read_metadata(readable(path))
    index = {metadata.schema.column(i).path: i for i in range(len(metadata.schema))}
    found: set[Keys] = set()
    for group in range(metadata.num_row_groups):
        known = [metadata.row_group(group).column(index[name]).statistics for name in KEYS]
        if metadata.row_group(group).num_rows:
            found |= {tuple(str(s.min) for s in known), tuple(str(s.max) for s in known)}
    if len(found) > 1:
        return ("several partitions",)
    return next(iter(found), None)


def _named(place: Place) -> Keys:
    exchange, _, symbol = place.instrument.key.partition(":")
    return exchange, symbol, place.date


def _take_out(lake: Lake, config: Config, dataset: Dataset, place: Place, part: Part) -> None:
    """Keep a copy of a part aside and compute its partition anew: only that takes it out, so a death leaves the fault.

    One that is not there any more was replaced since. Raises: DataError where nothing is left to compute the partition
    from; the part is taken out all the same.
    """
    path = lake.partition(place, dataset.folder) / part.name
    try:
        copy_aside(lake, path)
    except FileNotFoundError:
        return
    try:
        replace(lake, recipe_of(dataset.asset, lake, config, place.source), place)
    except DataError:
        with locked(lake, lock_name(dataset, place)):
            delete(path)
        raise


def _move(lake: Lake, dataset: Dataset, place: Place, target: Place, part: Part) -> None:
    with locked(lake, lock_name(dataset, target)):
        there = lake.partition(target, dataset.folder) / part.name
        if there.is_file():
            raise DataError(f"{there} stands already", "run repair again")
        move(lake.partition(place, dataset.folder) / part.name, there)
    for one in (place, target):
        with locked(lake, landing_lock(one.source)):
            mark(lake, one.source, one.date)


def _finish(lake: Lake, dataset: Dataset, place: Place) -> None:
    with locked(lake, lock_name(dataset, place)):
        finish(lake.partition(place, dataset.folder))
