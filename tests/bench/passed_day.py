"""A day that has nearly passed, made of one minute of it: what real time meets in the evening, without a day's computing.

A landed and computed minute is repeated before itself: manifests, bronze of the last hour, silver and gold parts, those
of each full hour merged as real time leaves them. The newest parts then say that they were made from all of it, so that
the next minute is appended to a whole day.
"""

import dataclasses
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.parts import Provenance, as_metadata, digest_of, parts_of, read_provenance
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Recipe
from fluxforge_assets.lake.update import places_of, recipes
from fluxforge_collector.config.model import Config
from fluxforge_collector.segments.manifest import Manifest, write_manifest
from fluxforge_collector.segments.names import new_segment_id, sealed_name
from fluxforge_collector.segments.sealed import parquet_options

MINUTE_US = 60_000_000
HOUR = 60
"""Minutes whose parts real time merges into one."""
READ_BACK_MINUTES = 90
"""More than anything reads back in bronze: trades are compared with those of an hour before."""


def repeat_minute(lake: Lake, config: Config, minute: Manifest, passed: int) -> None:
    """Make the landed and computed `minute` the last of `passed + 1` minutes that look alike."""
    for back in range(passed, 0, -1):
        _repeat_segment(lake, minute, back)
    archive = Archive(lake, minute.source)
    made = recipes(lake, config, minute.source, archive)
    for place in places_of(lake, minute.source, minute.date, archive):
        for recipe in made:  # silver before the bars that are made from it
            _repeat_part(lake, recipe, place, passed)


def _repeat_segment(lake: Lake, minute: Manifest, back: int) -> None:
    shift = back * MINUTE_US
    name = new_segment_id(minute.from_us - shift, minute.collector)
    paths = lake.segments(minute.source)
    channels = {}
    for channel, entry in minute.channels.items():
        shifted = {
            key: known.model_copy(update={"first_us": known.first_us - shift, "last_us": known.last_us - shift})
            for key, known in entry.instruments.items()
        }
        file = sealed_name(name, entry.form) if entry.file else None
        channels[channel] = entry.model_copy(update={"file": file, "instruments": shifted})
        if entry.file and back <= READ_BACK_MINUTES:
            source = paths.archive_file(channel, minute.date, minute.id, entry.form)
            _shifted(source, paths.archive_file(channel, minute.date, name, entry.form), shift)
    update = {"id": name, "from_us": minute.from_us - shift, "to_us": minute.to_us - shift, "channels": channels}
    write_manifest(paths.archive_manifest(minute.date, name), minute.model_copy(update=update))


def _shifted(source: Path, target: Path, shift: int) -> None:
    """A bronze file's rows, captured earlier."""
    table = pq.read_table(source)
    times = table["capture_ts"].cast(pa.int64())
    earlier = pa.chunked_array([pa.array(times.to_numpy() - shift)]).cast(table.schema.field("capture_ts").type)
    position = table.schema.get_field_index("capture_ts")
    table = table.set_column(position, table.schema.field("capture_ts"), earlier)
    pq.write_table(table, target, **parquet_options(table.schema))


def _repeat_part(lake: Lake, recipe: Recipe, place: Place, passed: int) -> None:
    directory = lake.partition(place, recipe.dataset.folder)
    newest = parts_of(directory)[-1]
    digest = newest.name.split("-")[3].removesuffix(".parquet")
    known = read_provenance(directory / newest.name)
    table = pq.read_table(directory / newest.name)
    names = {
        back: f"part-{newest.from_us - back * MINUTE_US}-{newest.to_us - back * MINUTE_US}-{digest}.parquet"
        for back in range(passed, 0, -1)
    }
    for start in range(passed, 0, -HOUR):
        hour = [names[back] for back in range(start, max(start - HOUR, 0), -1)]
        if len(hour) == HOUR:
            told = dataclasses.replace(known, merged=tuple(hour))
            span = f"{newest.from_us - start * MINUTE_US}-{newest.to_us - (start - HOUR + 1) * MINUTE_US}"
            _write(table, told, directory / f"part-{span}-{digest}-merged.parquet")
            continue
        for name in hour:
            os.link(directory / newest.name, directory / name)
    earlier = [i.name for i in recipe.inputs(place) if i.from_us < newest.to_us]
    told = dataclasses.replace(known, count=len(earlier), digest=digest_of(earlier), rows=known.rows * (passed + 1))
    _write(table, told, directory / newest.name)


def _write(table: pa.Table, told: Provenance, path: Path) -> None:
    changed = path.with_name("changed.tmp")
    pq.write_table(table.replace_schema_metadata(as_metadata(told)), changed)
    changed.rename(path)
