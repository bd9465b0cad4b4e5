import itertools
import logging
from pathlib import Path

import pyarrow as pa
import pytest
import structlog
from support.clock import HandClock

from fluxforge_collector.config.model import Ingestion
from fluxforge_collector.records import BookRecord, Channel, TradeRecord
from fluxforge_collector.schemas import plain_schema
from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import RawFormat, SourcePaths
from fluxforge_collector.segments.sealed import read_table
from fluxforge_collector.segments.writer import SegmentWriter

NOON_US = 1_723_118_400_000_000  # 2024-08-08 12:00:00


class Lake:
    """A temporary lake with one writer at a time, and all its sealed rows."""

    def __init__(self, root: Path, clock: HandClock):
        self.root, self.clock, self.form = root, clock, RawFormat.PARQUET
        self.paths = SourcePaths(root, "ccxt")
        self.seq = itertools.count()

    def writer(self, **options) -> SegmentWriter:
        return SegmentWriter(self.root, "ccxt", Ingestion(**{"raw_format": self.form.value, **options}), self.clock)

    def book(self, symbol="BTC/USDT", at=None, levels=1, **changes) -> BookRecord:
        at_us = self.clock.now_us if at is None else at
        side = [100.0 + level / 10 for level in range(2 * levels)]
        record = BookRecord("binanceus", symbol, at_us // 1000, at_us, at_us // 1000, 7, side, side, next(self.seq), 1)
        return record._replace(**changes)

    def trade(self, symbol="BTC/USDT", at=None, **changes) -> TradeRecord:
        at_us = self.clock.now_us if at is None else at
        record = TradeRecord(
            "binanceus", symbol, at_us // 1000, at_us, "t1", None, "buy", 1.5, 2.0, None, None, next(self.seq), 1, False
        )
        return record._replace(**changes)

    def manifests(self):
        found = [read_manifest(path) for path in sorted(self.paths.ready_dir.glob("segment_*.json"))]
        for manifest in found:
            verify(manifest, self.paths.ready_dir)
        return found

    def rows(self, channel):
        tables = [
            read_table(self.paths.ready_dir / channel / manifest.channels[channel].file, plain_schema(Channel(channel)))
            for manifest in self.manifests()
            if manifest.channels[channel].file
        ]
        return pa.concat_tables(tables, promote_options="permissive").to_pylist() if tables else []

    def leftovers(self):
        """Files that no manifest names, other than locks."""
        named = {
            self.paths.ready_dir / channel / e.file
            for m in self.manifests()
            for channel, e in m.channels.items()
            if e.file
        } | {self.paths.ready_manifest(m.id) for m in self.manifests()}
        here = {p for p in self.root.rglob("*") if p.is_file() and p.suffix != ".lock"}
        return sorted(p.relative_to(self.root).as_posix() for p in here - named)


@pytest.fixture(autouse=True)
def _quiet_log():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def clock():
    return HandClock(NOON_US)


@pytest.fixture
def lake(tmp_path, clock):
    return Lake(tmp_path / "lake", clock)
