"""VPIN on a volume clock that starts anew each day (catalogue 11; Easley, López de Prado & O'Hara 2012)."""

from __future__ import annotations

import numpy as np
import polars as pl

from fluxforge_assets.features.quality import KEY
from fluxforge_assets.gold.rows import (
    DAY_US,
    Float64Array,
    Int64Array,
    as_table,
    numbers,
    require,
    whole,
    window_sums,
)
from fluxforge_assets.tables import Column, Dtype, Kind
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

DAYS_BEFORE = 2
"""A day's values need its own rows and those of this many days before it."""
ALMOST = 1 + 1e-9
MOST_BUCKETS = 1_000_000
MOST_EXACT = 1e9  # beyond, a bucket is too small a share of the day's volume for float64


def vpin_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of the VPIN table."""
    del options
    return (
        *KEY,
        _column("vpin_bucket", "count", "Ordinal of the bucket within its UTC day, from 0.", "b", dtype=Dtype.U32),
        _column(
            "bucket_vol", "base", "Signed volume of one bucket: the day before's, divided.",
            "V = Σ(buy_vol + sell_vol) of day D−1 / vpin_buckets_per_day",
        ),
        _column("imbalance", "1", "Order imbalance of the bucket, 0 to 1.", "|2·buy − V| / V"),
        _column(
            "vpin", "1", "Mean imbalance of the last vpin_window buckets of this day and the day before.",
            "mean of the last vpin_window imbalances", null="fewer than vpin_min buckets",
        ),
    )  # fmt: skip


def _column(
    name: str, unit: str, description: str, formula: str, *, dtype: Dtype = Dtype.F64, null: str = "never"
) -> Column:
    """A column of this table."""
    source = "Easley, López de Prado & O'Hara 2012"
    return Column(name, dtype, "vpin", Kind.GOLD, unit, null, description, formula, source, trades=True)


def compute_vpin(
    silver: pl.DataFrame,
    *,
    options: FeatureOptions,
    watermark_us: int | None = None,
    from_us: int | None = None,
) -> pl.DataFrame:
    """Every complete volume bucket with `from_us < ts ≤ watermark_us`, and the VPIN at its end.

    Args:
        silver: rows of one instrument; for the values of a day, that day's and those of the two days before it.
        options: vpin_buckets_per_day, vpin_window, vpin_min, hf_emit_interval.
        watermark_us: leave out rows after this time.
        from_us: leave out buckets that end at or before this time.

    Returns: `exchange, symbol, ts` (the row that completed the bucket), `vpin_bucket, bucket_vol, imbalance, vpin`;
        nothing for a day whose day before traded nothing.
    Raises: DataError where `silver` breaks its contract or a day would have over a million buckets.
    """
    rows = require(silver, ("buy_vol", "sell_vol"), "VPIN").filter(pl.col("buy_vol") + pl.col("sell_vol") > 0)
    if watermark_us is not None:
        rows = rows.filter(pl.col("ts") <= watermark_us)
    day = (whole(rows, "ts") - options.bucket_us) // DAY_US
    buckets = [_Buckets.none()]
    volume_before: dict[int, float] = {}
    first_day = None if from_us is None else from_us // options.bucket_us * options.bucket_us // DAY_US
    for date in np.unique(day).tolist():
        today = rows.filter(pl.Series(day == date))
        signed = numbers(today, "buy_vol") + numbers(today, "sell_vol")
        volume_before[date] = float(signed.sum())
        if date - 1 in volume_before:
            size = volume_before[date - 1] / options.vpin_buckets_per_day
            # of a day that is left out, only the buckets that the next day's mean reaches are made
            last = options.vpin_window if first_day is not None and date < first_day else None
            made = _Buckets.of(whole(today, "ts"), numbers(today, "buy_vol"), signed, size, last)
            earlier = buckets[-1].imbalance if date - 2 in volume_before else np.empty(0)
            made.average(earlier, options.vpin_window, options.vpin_min)
            buckets.append(made)
    return _table(rows, buckets, options, from_us)


class _Buckets:
    """The complete volume buckets of one day."""

    def __init__(self, ts: Int64Array, imbalance: Float64Array, size: float) -> None:
        self.ts = ts
        self.imbalance = imbalance
        self.size = size
        self.vpin = np.full(len(ts), np.nan)

    @classmethod
    def none(cls) -> _Buckets:
        """No bucket."""
        return cls(np.empty(0, np.int64), np.empty(0), 0.0)

    @classmethod
    def of(
        cls, ts: Int64Array, buy: Float64Array, signed: Float64Array, size: float, last: int | None = None
    ) -> _Buckets:
        """All or the last of a day's buckets, from its rows that traded.

        A row that spans buckets is split in its own buy and sell proportion.
        """
        clock = np.cumsum(signed)
        most = MOST_BUCKETS if last is None else MOST_EXACT
        if clock[-1] > size * most:
            raise DataError(
                f"a day's volume fills over {most:,.0f} buckets of {size:g}, a size the day before sets",
                "lower vpin_buckets_per_day, or leave that day out",
            )
        count = int(clock[-1] * ALMOST / size)
        count += int((count + 1) * size <= clock[-1] * ALMOST) - int(count * size > clock[-1] * ALMOST)
        edges = np.arange(0 if last is None else max(0, count - last), count + 1) * size
        bought = np.interp(edges, np.append(0.0, clock), np.append(0.0, np.cumsum(buy)))
        imbalance = np.minimum(np.abs(2 * np.diff(bought) - size) / size, 1.0)
        return cls(ts[np.searchsorted(clock * ALMOST, edges[1:])], imbalance, size)

    def average(self, earlier: Float64Array, window: int, least: int) -> None:
        """Set `vpin`, given the imbalances of the day before."""
        both = np.append(earlier[-window:], self.imbalance)
        stop = np.arange(len(both) - len(self.imbalance), len(both)) + 1
        taken = np.minimum(stop, window)
        self.vpin = np.where(taken >= least, window_sums(both, stop - taken, stop) / taken, np.nan)


def _table(rows: pl.DataFrame, days: list[_Buckets], options: FeatureOptions, from_us: int | None) -> pl.DataFrame:
    """The buckets of all days below one another."""
    ts = np.concatenate([d.ts for d in days])
    key = rows.select("exchange", "symbol", "ts")
    keys = pl.DataFrame({"ts": ts}).join(key, on="ts", how="left", maintain_order="left")
    values = {
        "vpin_bucket": np.concatenate([np.arange(len(d.ts)) for d in days]),
        "bucket_vol": np.concatenate([np.full(len(d.ts), d.size) for d in days]),
        "imbalance": np.concatenate([d.imbalance for d in days]),
        "vpin": np.concatenate([d.vpin for d in days]),
    }
    table = as_table(keys, values, vpin_columns(options))
    return table if from_us is None else table.filter(pl.col("ts") > from_us)
