"""What a lake holds of recorded frames, as the simulated exchange plays them; and bronze rows, to compare with.

A replay begins where a run of the collector began: only from there on is everything recorded that a client needs, its
lists of markets and the snapshots its books are built on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_collector.errors import ConfigError, DataError
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel, Direction
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.manifest import Manifest, read_manifest
from fluxforge_collector.segments.names import RawFormat, format_of, segment_of_file
from fluxforge_collector.segments.sealed import read_rows
from fluxforge_collector.simulator.verbatim import Recorded, Replay
from fluxforge_collector.storage.bucket import LakePath

RESTART = "restart"
_COLUMNS = ("recv_ns", "exchange", "conn", "url", "direction", "text", "seq")
_TIMES = frozenset({"collected_at", "capture_ts", "seq", "conn"})

Key = tuple[str, str]
Row = tuple[object, ...]


class Run(NamedTuple):
    """Segments of one run of a collector that follow each other without a hole, oldest first."""

    segments: tuple[Manifest, ...]

    @property
    def from_us(self) -> int:
        """Where it begins, capture time."""
        return self.segments[0].from_us

    @property
    def to_us(self) -> int:
        """Where it ends."""
        return self.segments[-1].to_us


class SourceFiles:
    """The sealed files of one source, wherever in their life they stand; of two formats of one segment, Parquet."""

    def __init__(self, root: LakePath, source: str) -> None:
        self.source = source
        self._raw = root / "raw"

    def manifests(self) -> list[Manifest]:
        """All committed segments that were not put away, by start."""
        found = {
            path.name: path
            for pattern in (f"archive/{self.source}/date=*", f"processing/{self.source}", f"ready/{self.source}")
            for path in self._raw.glob(f"{pattern}/segment_*.json")
        }
        return sorted((read_manifest(path) for path in found.values()), key=lambda m: (m.from_us, m.id))

    def files(self, channel: Channel) -> dict[str, LakePath]:
        """The files of a channel's segments by id; compacted ones by their name."""
        found: dict[str, LakePath] = {}
        for stage in (f"ready/{self.source}/{channel}", f"processing/{self.source}/{channel}"):
            _add(found, self._raw.glob(f"{stage}/segment*"))
        _add(found, self._raw.glob(f"archive/{self.source}/{channel}/date=*/segment*"))
        return found


def _add(found: dict[str, LakePath], paths: Iterable[LakePath]) -> None:
    for path in paths:
        form = format_of(path.name)
        if form is None:
            continue
        try:
            name = segment_of_file(path.name).id
        except DataError:
            name = path.name
        if name not in found or form is RawFormat.PARQUET:
            found[name] = path


def runs_of(manifests: Sequence[Manifest], collector: str | None) -> list[Run]:
    """The runs in which frames were recorded, by time. Raises: ConfigError where several collectors did at once."""
    mine = [m for m in manifests if m.collector == collector or collector is None]
    recording = sorted({m.collector for m in mine if m.channels.get(Channel.FRAMES)})
    if len(recording) > 1:
        raise ConfigError(
            f"the collectors {', '.join(recording)} have recorded frames", "name one of them with --collector"
        )
    mine = [m for m in mine if m.collector in recording]
    cuts = [at for at, (one, other) in enumerate(pairwise(mine), 1) if one.final or one.to_us != other.from_us]
    parts = [tuple(mine[start:end]) for start, end in zip([0, *cuts], [*cuts, len(mine)], strict=True)]
    return [Run(part) for part in parts if any(m.channels.get(Channel.FRAMES) for m in part)]


def replays_of(files: SourceFiles, runs: Sequence[Run], exchanges: Sequence[str], to_us: int | None) -> list[Replay]:
    """What is to be played of each exchange. Raises: DataError where nothing was recorded of one."""
    known = files.files(Channel.FRAMES)
    paths = [[known[m.id] for m in run.segments if m.id in known] for run in runs]
    recorded: dict[str, set[str]] = {}
    for run in paths:
        for path in run:
            names = plain_schema(Channel.FRAMES, ["exchange", "url"])
            for row in _distinct(read_rows(path, names)):
                recorded.setdefault(row["exchange"], set()).add(row["url"])
    for exchange in exchanges:
        if exchange not in recorded:
            raise DataError(
                f"no frames of {exchange} were recorded then",
                f"recorded: {', '.join(sorted(recorded)) or 'none'}; see ingestion.record_frames",
            )
    return [
        Replay(exchange, frozenset(map(_host, recorded[exchange])), partial(_frames, paths, exchange, to_us))
        for exchange in sorted(exchanges or recorded)
    ]


def _distinct(batches: Iterable[pa.RecordBatch]) -> list[dict[str, str]]:
    tables = [pa.Table.from_batches([batch]).group_by(["exchange", "url"]).aggregate([]) for batch in batches]
    rows: list[dict[str, str]] = pa.concat_tables(tables).group_by(["exchange", "url"]).aggregate([]).to_pylist()
    return rows


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].partition(":")[0]


def _frames(runs: Sequence[Sequence[LakePath]], exchange: str, to_us: int | None) -> Iterator[Recorded]:
    """An exchange's frames in order; a restart between two runs."""
    schema = plain_schema(Channel.FRAMES, _COLUMNS)
    last_us = 0
    for number, run in enumerate(runs):
        if number:
            yield Recorded(last_us, -1, "", RESTART, "")
        for path in run:
            for batch in read_rows(path, schema, choose=partial(_groups, exchange=exchange)):
                for row in batch.filter(pc.equal(batch["exchange"], exchange)).to_pylist():
                    last_us = row["recv_ns"] // 1000
                    if to_us is not None and last_us >= to_us:
                        return
                    yield Recorded(last_us, row["conn"], row["url"], str(Direction(row["direction"])), row["text"])


def _groups(metadata: pq.FileMetaData, *, exchange: str) -> list[int]:
    """Row groups of the exchange: none mixes two."""
    names = [metadata.schema.column(at).name for at in range(len(metadata.schema))]
    column = names.index("exchange")
    known = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    return [g for g, its in enumerate(known) if its is None or not its.has_min_max or its.min <= exchange <= its.max]


def rows_by_instrument(
    files: SourceFiles, channel: Channel, exchanges: Sequence[str], from_us: int, to_us: int
) -> dict[str, list[Row]]:
    """What a channel holds, by instrument in order of arrival, but for when and by which connection it came."""
    schema = plain_schema(channel)
    tables: list[pa.Table] = []
    span = [pa.scalar(at, schema.field("capture_ts").type) for at in (from_us, to_us)]
    for path in files.files(channel).values():
        for batch in read_rows(path, schema):
            times = batch["capture_ts"]
            wanted = pc.and_(pc.greater_equal(times, span[0]), pc.less(times, span[1]))
            wanted = pc.and_(wanted, pc.is_in(batch["exchange"], pa.array(exchanges, pa.string())))
            tables.append(pa.Table.from_batches([batch.filter(wanted)]))
    if not tables:
        return {}
    table = pa.concat_tables(tables).sort_by([("exchange", "ascending"), ("symbol", "ascending"), *_ARRIVAL])
    keys = zip(table["exchange"].to_pylist(), table["symbol"].to_pylist(), strict=True)
    values = table.select([name for name in table.column_names if name not in _TIMES]).to_pylist()
    found: dict[str, list[Row]] = {}
    for (exchange, symbol), value in zip(keys, values, strict=True):
        found.setdefault(Instrument(exchange, symbol).key, []).append(tuple(map(_plain, value.values())))
    return found


def without_fetched(one: Sequence[Row], other: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Trades of two collections without those that either fetched over REST: which they are depends on the time."""
    names = [name for name in plain_schema(Channel.TRADES).names if name not in _TIMES]
    trade_id, backfilled = names.index("trade_id"), names.index("backfilled")
    fetched = {row[trade_id] for row in (*one, *other) if row[backfilled]}
    return [row for row in one if row[trade_id] not in fetched], [row for row in other if row[trade_id] not in fetched]


_ARRIVAL = [("capture_ts", "ascending"), ("seq", "ascending")]


def _plain(value: object) -> object:
    """A value that can be compared: levels as tuples, and NaN equal to itself."""
    if isinstance(value, list):
        return tuple((repr(level["price"]), repr(level["size"])) for level in value)
    return repr(value) if isinstance(value, float) else value
