"""The recipe of silver order books: an instrument's landed segments, computed by the features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from fluxforge_assets.lake import bronze
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK
from fluxforge_assets.lake.parts import parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Input
from fluxforge_collector.config.model import Config
from fluxforge_collector.instruments import Instrument
from fluxforge_collector.records import Channel
from fluxforge_collector.segments.manifest import ChannelEntry
from fluxforge_collector.segments.names import SegmentName, parse_segment_id


class FromSegments:
    """What the recipes made from landed segments share: which segments touch a partition, and up to when."""

    channels: tuple[Channel, ...]
    lookback_us: int
    grid_us: int
    keeps_empty = True

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        self._lake, self._config = lake, config
        self.archive = archive or Archive(lake, source)
        self.options = config.etl.channels.orderbook.processor_options

    def inputs(self, place: Place) -> list[Input]:
        """The segments of the day and those around it that can change its rows, each from its first row on."""
        names = self.archive.between(place.start_us - self.lookback_us, place.end_us)
        return [Input(name.id, self._first_us(name, place)) for name in names]

    def _first_us(self, name: SegmentName, place: Place) -> int:
        """The segment's start, or the instrument's first row where it came late."""
        if self.archive.first_us(name) >= name.start_us:
            return name.start_us
        entries = (e.instruments.get(place.instrument.key) for e in self._entries(name))
        return min((name.start_us, *(entry.first_us for entry in entries if entry)))

    def _entries(self, name: SegmentName) -> list[ChannelEntry]:
        channels = self.archive.manifest(name).channels
        return [entry for channel, entry in channels.items() if channel in self.channels]

    def until_us(self, place: Place) -> int:
        """The watermark on the grid, at most the day's end."""
        watermark = self.archive.watermark_us() or place.start_us
        return min(watermark // self.grid_us * self.grid_us, place.end_us)

    def newest_us(self, place: Place, fresh: Sequence[Input]) -> int:
        """The newest row of the instrument in these segments, of those that begin it before the day ends."""
        entries = (e.instruments.get(place.instrument.key) for name in _names(fresh) for e in self._entries(name))
        return max((entry.last_us for entry in entries if entry and entry.first_us < place.end_us), default=0)

    def is_waiting(self, newest_us: int, from_us: int, to_us: int) -> bool:
        """Whether a row of the instrument has come that no part covers."""
        return from_us < to_us and newest_us >= from_us

    def settled_us(self, place: Place, folder: str) -> int:
        """Up to when a partition holds all it ever will: its parts' end, or later where nothing has come since."""
        frontier = max((part.to_us for part in parts_of(self._lake.partition(place, folder))), default=place.start_us)
        until = self.until_us(place)
        since = [Input(n.id, n.start_us) for n in self.archive.between(frontier, place.end_us)]
        return until if until > frontier > self.newest_us(place, since) else frontier


class SilverOrderbook(FromSegments):
    """Silver order books of one source."""

    dataset = SILVER_ORDERBOOK
    channels = (Channel.ORDERBOOK, Channel.TRADES)

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        super().__init__(lake, config, source, archive)
        self.columns = self.dataset.columns(self.options)
        self.fingerprint = self.dataset.fingerprint(self.options)
        self.grid_us = self.options.bucket_us
        self.lookback_us = self.options.lookback_us

    def renewed(self) -> SilverOrderbook:
        """The same over segments listed anew."""
        return SilverOrderbook(self._lake, self._config, self.archive.source)

    def changed_from_us(self, place: Place, fresh: Sequence[Input]) -> int | None:
        """Where the earliest gap begins that new segments tell of: it parts events that were a pair before."""
        return bronze.earliest_gap_us(self.archive, place.instrument, list(_names(fresh)))

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """Feature rows with ts in `(from_us, to_us]`."""
        from fluxforge_assets.features.silver import silver_frames  # noqa: PLC0415  compiled kernels load inside a run only

        first_us = from_us - self.lookback_us
        instrument = place.instrument
        trades = (
            bronze.trade_table(self.archive, instrument, first_us, to_us).to_batches()
            if has_trades(self._config, self.archive.source, instrument)
            else None
        )
        yield from silver_frames(
            bronze.book_batches(self.archive, instrument, first_us, to_us),
            trades,
            bronze.gap_table(self.archive, instrument, first_us, to_us),
            options=self.options,
            watermark_us=to_us,
            from_us=from_us,
        )


def has_trades(config: Config, source: str, instrument: Instrument) -> bool:
    """Whether the instrument's trades are collected; what the configuration does not name counts as collected."""
    for named, exchange, asked in config.asked():
        if (named, exchange) == (source, instrument.exchange):
            symbol = instrument.symbol
            return symbol not in asked.symbols_of(Channel.ORDERBOOK) or symbol in asked.symbols_of(Channel.TRADES)
    return True


def _names(inputs: Sequence[Input]) -> Iterator[SegmentName]:
    return (parse_segment_id(known.name) for known in inputs)
