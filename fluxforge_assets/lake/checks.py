"""Judging stored partitions: what their columns declare, and that nothing is lost between bronze, silver and gold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_assets.lake import bronze
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.datasets import (
    GOLD_BARS,
    GOLD_CROSS_VENUE,
    GOLD_LABELS,
    GOLD_OFI_INTEGRATED,
    GOLD_VPIN,
    SILVER_ORDERBOOK,
    SILVER_TICKER,
    SILVER_TRADES,
    Dataset,
)
from fluxforge_assets.lake.events import clean_trades
from fluxforge_assets.lake.parts import KEYS, as_arrow, parts_of
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.scanning import scan
from fluxforge_assets.tables import Column, Dtype
from fluxforge_collector.config.model import Config
from fluxforge_collector.storage.bucket import LakePath, readable

BATCH_ROWS = 4096
_BOOK_EVENTS = (
    "n_book", "n_book_crossed", "n_book_locked", "n_book_onesided", "n_book_malformed", "n_book_dup",
)  # fmt: skip


class Verdict(NamedTuple):
    """The outcome of a check on one partition: whether it holds, and the numbers it compared."""

    is_passed: bool
    detail: str


class Stored(NamedTuple):
    """A stored partition, opened for judging."""

    lake: Lake
    config: Config
    dataset: Dataset
    place: Place
    archive: Archive | None = None
    """The source's archive where it is open already; no rows are kept in it for judging."""

    def bronze(self) -> Archive:
        """What was landed."""
        return self.archive.without_rows() if self.archive else Archive(self.lake, self.place.source)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What should be stored."""
        return self.dataset.columns(self.config.etl.channels.orderbook.processor_options)

    def files(self, dataset: Dataset | None = None) -> list[LakePath]:
        """The parts' files."""
        directory = self.lake.partition(self.place, (dataset or self.dataset).folder)
        return [directory / part.name for part in parts_of(directory)]

    def read(self, names: list[str], dataset: Dataset | None = None) -> pl.DataFrame:
        """Some columns of all parts, part after part."""
        files = self.files(dataset)
        if not files:
            return pl.DataFrame()
        return scan(files).select(names).collect()

    def until_us(self) -> int:
        """The end of the partition's last part."""
        directory = self.lake.partition(self.place, self.dataset.folder)
        return max((part.to_us for part in parts_of(directory)), default=self.place.start_us)


Check = Callable[[Stored], Verdict]


def check_schema(stored: Stored) -> Verdict:
    """Every part has the declared columns, in order, with their types."""
    wanted = as_arrow(pl.DataFrame(schema={c.name: c.dtype.polars for c in stored.columns}), stored.columns).schema
    wrong = [file for file in stored.files() if not pq.read_schema(readable(file)).equals(wanted, check_metadata=False)]
    return Verdict(not wrong, f"{len(wrong)} of {len(stored.files())} parts differ from {len(wanted)} columns")


def check_keys(stored: Stored) -> Verdict:
    """Keys are unique and ascending over all parts, and agree with the folder."""
    frame = stored.read([*KEYS, *stored.dataset.key])
    if not frame.height:
        return Verdict(is_passed=True, detail="no rows")
    key = frame.select(pl.struct(stored.dataset.key).alias("key"))["key"]
    repeats = frame.height - key.n_unique()
    exchange, _, symbol = stored.place.instrument.key.partition(":")
    named = frame.select(KEYS).unique().rows() == [(exchange, symbol, stored.place.date)]
    is_passed = not repeats and bool(key.is_sorted()) and named
    return Verdict(is_passed, f"{frame.height} rows, {repeats} repeated, names {'agree' if named else 'differ'}")


def check_finite(stored: Stored) -> Verdict:
    """No NaN and no infinity in any column."""
    names = [c.name for c in stored.columns if c.dtype is Dtype.F64]
    rows, wrong = 0, dict[str, None]()
    for file in stored.files():
        with pq.ParquetFile(readable(file)) as opened:
            for batch in opened.iter_batches(BATCH_ROWS, columns=names):  # a day of all columns is half a gigabyte
                rows += batch.num_rows
                pairs = zip(batch.schema.names, batch.columns, strict=True)
                wrong |= {name: None for name, v in pairs if not pc.all(pc.is_finite(v), min_count=0).as_py()}
    return Verdict(not wrong, f"{rows} rows, {len(names)} columns; {', '.join([*wrong][:5]) or 'all finite'}")


def check_not_crossed(stored: Stored) -> Verdict:
    """The best bid lies below the best ask wherever there is a book."""
    frame = stored.read(["bid_price_l0", "ask_price_l0"])
    crossed = frame.filter(pl.col("bid_price_l0") >= pl.col("ask_price_l0")).height if frame.height else 0
    return Verdict(not crossed, f"{crossed} crossed of {frame.height} rows")


def check_books_kept(stored: Stored) -> Verdict:
    """Valid and rejected book events of the rows are exactly the bronze rows of those buckets."""
    if not stored.files():
        return Verdict(is_passed=True, detail="no rows")
    step = stored.config.etl.channels.orderbook.processor_options.bucket_us
    frame = stored.read(["ts", *_BOOK_EVENTS])
    counted = int(frame.select(pl.sum_horizontal(pl.col(_BOOK_EVENTS).cast(pl.Int64).sum())).item())
    total = within = 0
    stamps = frame["ts"]
    archive = stored.bronze()
    for batch in bronze.book_batches(archive, stored.place.instrument, stored.place.start_us, stored.until_us()):
        captured = pl.Series(batch["capture_ts"]).cast(pl.Int64)
        total += len(captured)
        within += int(((captured // step + 1) * step).is_in(stamps.implode()).sum())
    rest = total - within
    detail = f"{counted} events in silver, {within} in bronze; {rest} unusable ones in buckets without a row"
    return Verdict(counted == within, detail)


def check_trades_kept(stored: Stored) -> Verdict:
    """The traded amount is that of bronze, each valid trade once."""
    archive = stored.bronze()
    table = bronze.trade_table(archive, stored.place.instrument, stored.place.start_us, stored.until_us())
    wanted = float(clean_trades(table)["amount"].sum())
    if not stored.files():
        return Verdict(wanted == 0, f"no rows, {wanted:.12g} in bronze")
    name = "amount" if stored.dataset == SILVER_TRADES else "vol"
    stored_amount = float(stored.read([name])[name].sum())
    if name == "vol" and stored.read([name])[name].null_count():
        return Verdict(is_passed=True, detail="trades are not collected")
    return Verdict(_equal(stored_amount, wanted), f"{stored_amount:.12g} here, {wanted:.12g} in bronze")


def check_volume_kept(stored: Stored) -> Verdict:
    """The volume of the bars of every duration is that of the silver rows they cover.

    A bar that began on the day before is left out: half of its rows are in that day's silver.
    """
    bars = stored.read(["ts", "bar_us", "buy_vol", "sell_vol"])
    silver = stored.read(["ts", "buy_vol", "sell_vol"], SILVER_ORDERBOOK)
    if not bars.height or not silver.height:
        return Verdict(is_passed=True, detail="no rows")
    wrong, until, start = [], stored.until_us(), stored.place.start_us
    for us in stored.config.etl.channels.orderbook.processor_options.bar_durations_us:
        covered = silver.filter(pl.col("ts") > -(-start // us) * us, pl.col("ts") <= until // us * us)
        own = bars.filter(pl.col("bar_us") == us, pl.col("ts") - us >= start)
        sums = [(float(own[n].sum()), float(covered[n].sum())) for n in ("buy_vol", "sell_vol")]
        wrong += [f"{us / 1e6:g} s: {a:.12g} ≠ {b:.12g}" for a, b in sums if not _equal(a, b)]
    return Verdict(not wrong, "; ".join(wrong) or f"{bars.height} bars, {silver.height} silver rows")


def check_row_per_silver_row(stored: Stored) -> Verdict:
    """There is exactly one row for each silver row of the span."""
    rows = stored.read(["ts"])
    silver = stored.read(["ts"], SILVER_ORDERBOOK)
    if not rows.height or not silver.height:
        return Verdict(is_passed=True, detail="no rows")
    wanted = silver.filter(pl.col("ts") <= stored.until_us())
    return Verdict(rows.equals(wanted), f"{rows.height} rows, {wanted.height} silver rows")


def check_labels_ended(stored: Stored) -> Verdict:
    """Every label window lies after its row, and all are equally long."""
    frame = stored.read(["ts", "label_end_ts"])
    lengths = frame.select(pl.col("label_end_ts") - pl.col("ts")).to_series().unique().to_list() if frame.height else []
    is_passed = len(lengths) <= 1 and all(us > 0 for us in lengths)
    return Verdict(is_passed, f"{frame.height} rows; lengths {', '.join(f'{us / 1e6:g} s' for us in lengths[:5])}")


def check_buckets_follow(stored: Stored) -> Verdict:
    """Volume buckets count up from 0 without a hole, and an imbalance is a share."""
    frame = stored.read(["vpin_bucket", "imbalance"])
    follow = frame["vpin_bucket"].to_list() == list(range(frame.height)) if frame.height else True
    within = frame.filter(~pl.col("imbalance").is_between(0, 1)).height == 0 if frame.height else True
    return Verdict(follow and within, f"{frame.height} buckets")


def _equal(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-12)


CHECKS: dict[Dataset, dict[str, Check]] = {
    SILVER_ORDERBOOK: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "no_crossed_book": check_not_crossed,
        "book_events_conserved": check_books_kept,
        "trade_volume_conserved": check_trades_kept,
    },
    SILVER_TRADES: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "trade_volume_conserved": check_trades_kept,
    },
    SILVER_TICKER: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
    },
    GOLD_BARS: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "bar_volume_conserved": check_volume_kept,
    },
    GOLD_LABELS: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "row_per_silver_row": check_row_per_silver_row,
        "windows_look_ahead": check_labels_ended,
    },
    GOLD_VPIN: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "buckets_follow": check_buckets_follow,
    },
    GOLD_CROSS_VENUE: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "row_per_silver_row": check_row_per_silver_row,
    },
    GOLD_OFI_INTEGRATED: {
        "declared_columns": check_schema,
        "unique_ordered_keys": check_keys,
        "finite_values": check_finite,
        "row_per_silver_row": check_row_per_silver_row,
    },
}
"""The checks of each dataset, by name."""
