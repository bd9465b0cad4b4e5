"""The picture of depth: resting size by time and price, from silver levels or bronze books."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fluxforge_assets.plots.canvas import Float64Array, Int64Array, datetimes, panels, time_axis
from fluxforge_collector.errors import DataError

MOST_COLUMNS = 600
MOST_ROWS = 160


class Levels(NamedTuple):
    """One side's levels, an entry per row of the data and level: times [us], prices, sizes, and the best prices."""

    ts: Int64Array
    price: Float64Array
    size: Float64Array
    best: pl.DataFrame


def depth_figure(frame: pl.DataFrame, *, levels: int = 10, title: str = "") -> Figure:
    """Resting size by time and price: bids blue, asks red, and the mid as a line.

    Args:
        frame: silver rows (`ts`, `bid_price_l0`, `bid_size_l0`, …), or bronze ones (`capture_ts, bids, asks`).
        levels: levels of each side to draw.
        title: heads the figure.

    Raises: DataError where the frame has no book.
    """
    bids, asks = _levels(frame, "bid", levels), _levels(frame, "ask", levels)
    if not len(bids.ts) or not len(asks.ts):
        raise DataError("there is no book to plot in this range", "widen the range, or name a dataset with levels")
    times = _time_edges(np.unique(np.append(bids.ts, asks.ts)))
    prices = _price_edges(
        np.append(bids.price, asks.price),
        np.nanmin(bids.best["price"].to_numpy()),
        np.nanmax(asks.best["price"].to_numpy()),
    )
    cells = {"bid": _mean_size(bids, times, prices), "ask": _mean_size(asks, times, prices)}
    scale = LogNorm(*_decades(np.concatenate([c[c > 0] for c in cells.values()])))
    figure, (axes,) = panels(title, 5.2)
    axes.grid(visible=False)
    for side, colours, pad in (("bid", "Blues", 0.01), ("ask", "Reds", 0.03)):
        shown = np.ma.masked_less_equal(cells[side], 0)
        mesh = axes.pcolormesh(datetimes(times), prices, shown.T, cmap=colours, norm=scale, rasterized=True)
        bar = figure.colorbar(mesh, ax=axes, pad=pad, fraction=0.04, aspect=30)
        bar.set_label(f"{side} size, base", fontsize=8)
    _draw_mid(axes, bids, asks, times)
    axes.set_ylabel("price, quote per base")
    axes.set_ylim(prices[0], prices[-1])
    time_axis(axes)
    return figure


def _levels(frame: pl.DataFrame, side: str, levels: int) -> Levels:
    """One side of the books."""
    if f"{side}s" in frame.columns:
        book = pl.col(f"{side}s").list.head(levels)
        long = frame.select(pl.col("capture_ts").cast(pl.Int64).alias("ts"), book.alias("level"))
        best = long.select("ts", pl.col("level").list.first().struct.field("price"))
        long = long.explode("level").drop_nulls().unnest("level")
    elif f"{side}_price_l0" in frame.columns:
        best = frame.select("ts", pl.col(f"{side}_price_l0").alias("price"))
        long = pl.concat(
            frame.select("ts", pl.col(f"{side}_price_l{i}").alias("price"), pl.col(f"{side}_size_l{i}").alias("size"))
            for i in range(levels)
            if f"{side}_price_l{i}" in frame.columns
        )
    else:
        raise DataError("the data have no book levels", "plot depth from silver or bronze order books")
    long = long.filter(pl.col("price").is_finite() & (pl.col("size") > 0))
    return Levels(long["ts"].to_numpy(), long["price"].to_numpy(), long["size"].to_numpy(), best)


def _draw_mid(axes: Axes, bids: Levels, asks: Levels, times: Int64Array) -> None:
    """The mean mid of each column of time; nothing where there is no book."""
    best = pl.DataFrame({"ts": bids.best["ts"], "mid": (bids.best["price"] + asks.best["price"]) / 2}).drop_nulls()
    column = np.clip(np.searchsorted(times, best["ts"].to_numpy(), side="right") - 1, 0, len(times) - 2)
    count = np.bincount(column, minlength=len(times) - 1)
    total = np.bincount(column, weights=best["mid"].to_numpy(), minlength=len(times) - 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    axes.plot(datetimes((times[:-1] + times[1:]) // 2), mean, color="black", linewidth=0.7)


def _time_edges(ts: Int64Array) -> Int64Array:
    """Edges of equal columns of time, at least about one row each."""
    edges: Int64Array = np.linspace(ts[0], ts[-1] + 1, min(MOST_COLUMNS, len(ts)) + 1).astype(np.int64)
    return edges


def _price_edges(prices: Float64Array, bid: float, ask: float) -> Float64Array:
    """Edges of equal rows of price, a whole tick each where there are few enough; far levels are left out."""
    low, high = np.quantile(prices, (0.005, 0.995))
    low, high = np.fmin(low, bid), np.fmax(high, ask)
    near = np.unique(prices[(prices >= low) & (prices <= high)])
    tick = float(np.diff(near).min()) if len(near) > 1 else float(low) * 1e-4
    ticks = (high - low) / tick + 1
    step = tick * max(1.0, np.ceil(ticks / MOST_ROWS))
    return np.arange(low - tick / 2, high + step, step)


def _mean_size(side: Levels, times: Int64Array, prices: Float64Array) -> Float64Array:
    """Size per cell of time and price, averaged over the books of the column."""
    total, _, _ = np.histogram2d(side.ts, side.price, bins=(times, prices), weights=side.size)
    books, _ = np.histogram(side.best["ts"].to_numpy(), bins=times)
    mean: Float64Array = total / np.maximum(books, 1)[:, None]
    return mean


def _decades(sizes: Float64Array) -> tuple[float, float]:
    """Ends of the colour scale: most sizes, at least one decade."""
    high = float(np.quantile(sizes, 0.99))
    return min(float(np.quantile(sizes, 0.05)), high / 10), high
