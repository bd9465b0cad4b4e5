"""The recipes of silver trades and tickers: bronze rows, cleaned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import polars as pl
import pyarrow as pa

from fluxforge_assets.lake import bronze
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import SILVER_TICKER, SILVER_TRADES, TICKER, Dataset
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Input
from fluxforge_assets.lake.silver import FromSegments
from fluxforge_assets.tables import Dtype
from fluxforge_collector.config.model import Config
from fluxforge_collector.records import Channel


class Events(FromSegments, ABC):
    """Rows that stay rows: stamped with their own capture time, so parts may end anywhere."""

    dataset: Dataset
    grid_us = 1
    lookback_us = 0

    def __init__(self, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> None:
        super().__init__(lake, config, source, archive)
        self.columns = self.dataset.columns(self.options)
        self.fingerprint = self.dataset.fingerprint(self.options)

    def changed_from_us(self, place: Place, fresh: Sequence[Input]) -> int | None:
        """New segments only add rows."""
        del place, fresh
        return None

    @abstractmethod
    def read(self, place: Place, from_us: int, to_us: int) -> pl.DataFrame:
        """The cleaned rows captured in `[from_us, to_us)`."""

    def rows(self, place: Place, from_us: int, to_us: int) -> Iterator[pl.DataFrame]:
        """The rows in a single frame: rows of one instant are never parted."""
        frame = self.read(place, from_us, to_us)
        if frame.height:
            yield frame


class SilverTrades(Events):
    """Trades of one source."""

    dataset = SILVER_TRADES
    channels = (Channel.TRADES,)
    lookback_us = bronze.REPEAT_US

    def renewed(self) -> SilverTrades:
        """The same over segments listed anew."""
        return SilverTrades(self._lake, self._config, self.archive.source)

    def read(self, place: Place, from_us: int, to_us: int) -> pl.DataFrame:
        """Trades captured in `[from_us, to_us)`, each once."""
        return clean_trades(bronze.trade_table(self.archive, place.instrument, from_us, to_us))


class SilverTicker(Events):
    """Tickers of one source."""

    dataset = SILVER_TICKER
    channels = (Channel.TICKER,)

    def renewed(self) -> SilverTicker:
        """The same over segments listed anew."""
        return SilverTicker(self._lake, self._config, self.archive.source)

    def read(self, place: Place, from_us: int, to_us: int) -> pl.DataFrame:
        """Tickers captured in `[from_us, to_us)`."""
        return clean_tickers(bronze.ticker_table(self.archive, place.instrument, from_us, to_us))


def clean_trades(bronze_rows: pa.Table) -> pl.DataFrame:
    """Trades with a positive finite price and amount; the side in lower case, null where it is neither."""
    side = pl.col("side").str.strip_chars().str.to_lowercase()
    return (
        _arrived(bronze_rows)
        .filter(_is_positive("price") & _is_positive("amount"))
        .with_columns(
            side=pl.when(side.is_in(["buy", "sell"])).then(side),
            cost=pl.when(_is_positive("cost")).then("cost").otherwise(pl.col("price") * pl.col("amount")),
            backfilled=pl.col("backfilled").cast(pl.Int8),
        )
    )


def clean_tickers(bronze_rows: pa.Table) -> pl.DataFrame:
    """Tickers with mid and spread; what is no finite number is null, and so is a quote that is not positive."""
    numbers = [c.name for c in TICKER if c.dtype is Dtype.F64 and c.name in bronze_rows.column_names]
    finite = [pl.when(pl.col(name).is_finite()).then(name).alias(name) for name in numbers]
    quotes = [pl.when(_is_positive(name)).then(name).alias(name) for name in ("bid", "ask")]
    bid, ask = pl.col("bid"), pl.col("ask")
    return (
        _arrived(bronze_rows)
        .with_columns(finite)
        .with_columns(quotes)
        .with_columns(mid=pl.when(bid <= ask).then((bid + ask) / 2), spread=pl.when(bid <= ask).then(ask - bid))
        .with_columns(spread_bps=1e4 * pl.col("spread") / pl.col("mid"))
    )


def _arrived(bronze_rows: pa.Table) -> pl.DataFrame:
    """The rows stamped by capture time in microseconds; the exchange's own stamp beside it."""
    frame = pl.DataFrame(bronze_rows)
    return frame.with_columns(ts=pl.col("capture_ts").cast(pl.Int64), exchange_ts=pl.col("timestamp"))


def _is_positive(column: str) -> pl.Expr:
    return pl.col(column).is_finite() & (pl.col(column) > 0)
