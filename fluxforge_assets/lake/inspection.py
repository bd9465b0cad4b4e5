"""Judging a claimed segment: do its files keep what the manifest and the bronze schema promise? Moves nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fluxforge_collector.errors import DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import EVERY_SYMBOL, Channel
from fluxforge_collector.schemas import BRONZE, order_of, plain_schema
from fluxforge_collector.segments.manifest import ChannelEntry, Manifest, verify
from fluxforge_collector.segments.sealed import read_table, schema_of

REMEDY = "look at it in quarantine; what it should have held is a gap"


def inspect_segment(manifest: Manifest, directory: Path) -> None:
    """Check a segment's files in `{directory}/{channel}/`. Raises: DataError with the first thing wrong."""
    for channel, entry in manifest.channels.items():
        if channel not in BRONZE:
            raise DataError(f"channel {channel!r} is none of ours", REMEDY)
        for key in entry.instruments:
            check_instrument(key)
    verify(manifest, directory)
    for channel, entry in manifest.channels.items():
        if entry.file is not None:
            try:
                _inspect_file(directory / channel / entry.file, Channel(channel), entry, manifest)
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{entry.file} of {channel} cannot be read: {error}", REMEDY) from error


def check_instrument(key: str) -> Instrument:
    """The instrument of a key, where it can be a market's. Raises: DataError for names made to leave a directory."""
    instrument = Instrument.from_key(key)
    pieces = instrument.symbol.replace("\\", "/").split("/")
    if any(piece.strip() in {"", ".", ".."} for piece in pieces) or not instrument.symbol.isprintable():
        raise DataError(f"{instrument.symbol!r} is no market's symbol", REMEDY)
    return instrument


def _inspect_file(path: Path, channel: Channel, entry: ChannelEntry, manifest: Manifest) -> None:
    _check_schema(schema_of(path, BRONZE[channel]), channel)
    rows = read_table(path, plain_schema(channel, ["exchange", "symbol", *order_of(channel)]))
    if channel is Channel.FRAMES:
        rows = rows.append_column("symbol", pa.array([EVERY_SYMBOL] * len(rows)))
    runs = runs_of(rows.select(["exchange", "symbol"]))
    counted = dict(runs)
    if len(runs) != len(counted):
        raise DataError(f"rows of {channel} are not sorted by instrument", REMEDY)
    if counted != {name: known.rows for name, known in entry.instruments.items()}:
        raise DataError(f"the instruments of {channel} are not those of the manifest", REMEDY)
    if channel in {Channel.GAPS, Channel.FRAMES}:
        return
    start = 0
    for name, count in runs:
        _check_times(rows.slice(start, count), f"{name} of {channel}", manifest)
        start += count


def _check_schema(schema: pa.Schema, channel: Channel) -> None:
    """Columns must be the channel's, in order; more may follow."""
    for position, wanted in enumerate(BRONZE[channel]):
        found = schema.field(position) if position < len(schema) else None
        if found is None or found.name != wanted.name or not found.type.equals(wanted.type):
            raise DataError(f"column {position} of {channel} is {found}, not {wanted}", REMEDY)


def runs_of(key: pa.Table) -> list[tuple[str, int]]:
    """Instrument key and length of each run of equal names."""
    names = [key[column].combine_chunks().cast(pa.string()) for column in ("exchange", "symbol")]
    joined = pc.binary_join_element_wise(*names, "\0")
    return [(Instrument(*value.split("\0", 1)).key, length) for value, length in _encoded(joined)]


def _encoded(joined: pa.Array) -> list[tuple[str, int]]:
    runs = pc.run_end_encode(joined)
    ends = runs.run_ends.to_pylist()
    return [(v, end - start) for v, start, end in zip(runs.values.to_pylist(), [0, *ends[:-1]], ends, strict=True)]


def _check_times(times: pa.Table, what: str, manifest: Manifest) -> None:
    """Capture times end before the segment and ascend; equal ones by `seq`. A late record may precede the segment."""
    capture = times["capture_ts"].combine_chunks().cast(pa.int64())
    seq = times["seq"].combine_chunks()
    if capture.null_count or seq.null_count:
        raise DataError(f"rows of {what} lack their time", REMEDY)
    if capture[-1].as_py() >= manifest.to_us:
        raise DataError(f"rows of {what} were captured after the segment's end", REMEDY)
    if len(capture) > 1:
        step = pc.subtract(capture[1:], capture[:-1])
        order = pc.subtract(seq[1:], seq[:-1])
        rises = pc.or_(pc.greater(step, 0), pc.and_(pc.equal(step, 0), pc.greater(order, 0)))
        if not pc.all(rises).as_py():
            raise DataError(f"rows of {what} are not sorted", REMEDY)
