"""The trades that an earlier run recorded last, read from its segments: those after them may be fetched again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from fluxforge_collector.errors import DataError
from fluxforge_collector.exchanges.last_ids import MOST_IDS
from fluxforge_collector.exchanges.streams import LONGEST_FETCH_US
from fluxforge_collector.exchanges.surroundings import LastTrades
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel, TradeRecord
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.columns import FIELDS
from fluxforge_collector.segments.manifest import ChannelEntry, Manifest
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.segments.sealed import read_table
from fluxforge_collector.service.absence import newest_manifests

log = structlog.get_logger()


def last_trades(paths: SourcePaths, last: Manifest, wanted: Iterable[Instrument]) -> dict[Instrument, LastTrades]:
    """The last trades of these instruments, where the hour before the end of the segment `last` has any.

    Trades that were fetched again stand in later segments than some that came by themselves after them, so it is one of
    those that must be found. A file that is not here any more ends the search: what it holds would come twice.
    """
    found: dict[Instrument, list[TradeRecord]] = {}
    open_ = set(wanted)
    for manifest in newest_manifests(paths, last.collector, last.to_us):
        entry = manifest.channels.get(Channel.TRADES, ChannelEntry())
        mine = {instrument for instrument in open_ if instrument.key in entry.instruments}
        if not open_ or manifest.to_us < last.to_us - LONGEST_FETCH_US:
            break
        if not mine:
            continue
        try:
            table = read_table(_file_of(paths, manifest, entry), plain_schema(Channel.TRADES))
        except (OSError, pa.ArrowException, DataError) as error:
            log.warning("earlier trades not read", segment=manifest.id, why=str(error)[:200])
            break
        for instrument in mine:
            records = list(_records(table, instrument))
            found.setdefault(instrument, []).extend(records)
            if not all(record.backfilled for record in records):
                open_.discard(instrument)
    return {instrument: _last(records, last) for instrument, records in found.items() if instrument not in open_}


def _file_of(paths: SourcePaths, manifest: Manifest, entry: ChannelEntry) -> Path:
    """Where the file of a segment's trades stands now. Raises: FileNotFoundError where it is gone."""
    channel, form = Channel.TRADES, entry.form
    candidates = (
        paths.ready_file(channel, manifest.id, form),
        paths.processing_file(channel, manifest.id, form),
        paths.archive_file(channel, manifest.date, manifest.id, form),
        paths.uploaded_file(channel, manifest.date, manifest.id, form),
    )
    for path in candidates:
        if path.exists():
            return path
    raise FileNotFoundError(f"{candidates[0].name} is gone")


def _records(table: pa.Table, instrument: Instrument) -> Iterator[TradeRecord]:
    is_its = (pc.field("exchange") == instrument.exchange) & (pc.field("symbol") == instrument.symbol)
    mine = table.filter(is_its)
    place = mine.schema.get_field_index("capture_ts")
    mine = mine.set_column(place, "capture_ts", mine["capture_ts"].cast(pa.int64()))
    return (_record(row) for row in mine.to_pylist())


def _record(row: Mapping[str, Any]) -> TradeRecord:
    return TradeRecord(**{FIELDS.get(name, name): value for name, value in row.items()})


def _last(records: list[TradeRecord], last: Manifest) -> LastTrades:
    records = sorted(records, key=lambda record: (record.capture_us, record.seq))
    newest, ids = records[-1], tuple(record.trade_id for record in records if record.trade_id is not None)[-MOST_IDS:]
    # whoever died has told, for each stream, of the time since its last record or the segment's start
    since_us = last.to_us if last.final else max(newest.capture_us, last.from_us)
    return LastTrades(newest, ids, since_us)
