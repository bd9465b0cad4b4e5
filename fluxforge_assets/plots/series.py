"""Pictures over time: the mid with bars as candles and their volume, feature columns, the small plot of metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fluxforge_assets.plots.canvas import (
    DOWN,
    LINE,
    QUIET,
    UP,
    Float64Array,
    datetimes,
    panels,
    render,
    time_axis,
)
from fluxforge_collector.errors import DataError

MOST_POINTS = 4000
MOST_CANDLES = 400
BREAK_US = 60_000_000


def mid_figure(silver: pl.DataFrame | None, bars: pl.DataFrame | None = None, *, title: str = "") -> Figure:
    """The mid, with bars of one duration as candles and their volume below.

    Args:
        silver: rows with `ts, mid`; or none.
        bars: rows with `ts, bar_us, mid_open, mid_high, mid_low, mid_close` and, where trades are collected, `vol`.
        title: heads the figure.

    Raises: DataError where there is nothing to draw.
    """
    silver = silver if silver is not None and silver["mid"].count() else None
    bars = bars if bars is not None and bars["mid_close"].count() else None
    if silver is None and bars is None:
        raise DataError("there is no mid to plot in this range", "widen the range, or name another instrument")
    has_volume = bars is not None and "vol" in bars.columns and bars["vol"].count() > 0
    figure, (price, *below) = panels(title, 4.8, (3, 1) if has_volume else (1,))
    if bars is not None:
        _candles(price, bars)
    if silver is not None:
        _line(price, silver, "mid", LINE if bars is None else QUIET)
    price.set_ylabel("mid, quote per base")
    if bars is not None and below:
        _volume(below[0], bars)
    time_axis(below[0] if below else price)
    return figure


def features_figure(
    frame: pl.DataFrame, columns: Sequence[str], *, units: Mapping[str, str] | None = None, title: str = ""
) -> Figure:
    """One panel per column over a common time axis.

    Args:
        frame: rows with `ts` and the columns.
        columns: what to draw, top to bottom.
        units: unit of each column, for its label.
        title: heads the figure.

    Raises: DataError where a column is missing or nothing is in it.
    """
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise DataError(f"the data have no column {', '.join(missing)}", "see `fluxforge features` for the names")
    if not any(frame[c].count() for c in columns):
        raise DataError(f"{', '.join(columns)}: no value in this range", "widen the range, or name other columns")
    figure, below_one_another = panels(title, 1.2 + 1.5 * len(columns), (1,) * len(columns))
    for panel, column in zip(below_one_another, columns, strict=True):
        _line(panel, frame, column, LINE)
        unit = (units or {}).get(column, "")
        panel.set_ylabel(f"{column}\n{unit}" if unit not in {"", "1"} else column, fontsize=8)
    time_axis(below_one_another[-1])
    return figure


def small_plot(frame: pl.DataFrame, column: str | None = None) -> bytes:
    """A PNG of about 600 × 200 pixels for asset metadata: of bars their candles, else the column or the mid.

    Args:
        frame: rows with `ts`; of bars the shortest are drawn, as candles.
        column: what to draw; default: the mid, or else the first column of numbers.

    Raises: DataError where there is nothing to draw.
    """
    is_bars = column is None and {"mid_open", "mid_close", "bar_us"} <= set(frame.columns)
    name = column or ("mid_close" if is_bars else _first_number(frame))
    if not frame[name].count():
        raise DataError(f"{name}: no value to plot")
    figure, (axes,) = panels("", 2.0, width=6.0)
    if is_bars:
        _candles(axes, frame.filter(pl.col("bar_us") == pl.col("bar_us").min()))
    else:
        _line(axes, frame, name, LINE)
    axes.set_ylabel("mid" if is_bars else name, fontsize=8)
    time_axis(axes)
    return render(figure, "png")


def _line(axes: Axes, frame: pl.DataFrame, column: str, colour: str) -> None:
    """A line that breaks where more than a minute has no row, thinned to what can be seen."""
    rows = frame.select("ts", pl.col(column).cast(pl.Float64)).drop_nulls().sort("ts")
    times, values = rows["ts"].to_numpy(), rows[column].to_numpy()
    step = max(BREAK_US, 2 * int(np.median(np.diff(times)))) if len(times) > 2 else BREAK_US
    if len(times) > MOST_POINTS:
        kept = _extremes(values)
        times, values = times[kept], values[kept]
        step = max(step, 3 * int(np.median(np.diff(times))))
    breaks = np.flatnonzero(np.diff(times) > step) + 1
    axes.plot(
        datetimes(np.insert(times, breaks, times[breaks - 1])),
        np.insert(values, breaks, np.nan),
        color=colour,
        linewidth=0.9,
        marker="." if len(times) < 3 else "",
    )


def _extremes(values: Float64Array) -> npt.NDArray[np.intp]:
    """Rows of the least and greatest value of each of many equal stretches, ascending."""
    edges = np.linspace(0, len(values), MOST_POINTS // 2 + 1).astype(np.intp)
    width = int(np.diff(edges).max())
    rows = np.minimum(edges[:-1, None] + np.arange(width), edges[1:, None] - 1)
    stretches = values[rows]
    first = np.arange(len(rows))
    return np.unique(np.append(rows[first, stretches.argmin(axis=1)], rows[first, stretches.argmax(axis=1)]))


def _candles(axes: Axes, bars: pl.DataFrame) -> None:
    """Open, high, low and close of the mid; a band and a line where candles would be thinner than a pixel."""
    rows = bars.filter(pl.col("mid_close").is_not_null()).sort("ts")
    start = datetimes((rows["ts"] - rows["bar_us"]).to_numpy())
    low, high = rows["mid_low"].to_numpy(), rows["mid_high"].to_numpy()
    if rows.height > MOST_CANDLES:
        axes.fill_between(start, low, high, color=LINE, alpha=0.3, linewidth=0)
        axes.plot(start, rows["mid_close"].to_numpy(), color=LINE, linewidth=0.8)
        return
    opened, closed = rows["mid_open"].to_numpy(), rows["mid_close"].to_numpy()
    middle = start + (rows["bar_us"] // 2).to_numpy().astype("timedelta64[us]")
    width = (rows["bar_us"].to_numpy() * 0.7).astype("timedelta64[us]")
    colours = np.where(closed >= opened, UP, DOWN)
    axes.vlines(middle, low, high, colors=colours.tolist(), linewidth=0.9)
    least = float(np.ptp(np.append(low, high))) * 0.003
    body = np.maximum(np.abs(closed - opened), least)
    axes.bar(middle, body, width, bottom=np.minimum(opened, closed), color=colours, linewidth=0)


def _volume(axes: Axes, bars: pl.DataFrame) -> None:
    """Traded volume of each bar: what buyers took upon what sellers took, where the sides are known."""
    rows = bars.sort("ts")
    middle = datetimes((rows["ts"] - rows["bar_us"] // 2).to_numpy())
    width = (rows["bar_us"].to_numpy() * 0.7).astype("timedelta64[us]")
    axes.bar(middle, rows["vol"].fill_null(0).to_numpy(), width, color=QUIET, linewidth=0, label="unsigned")
    if {"buy_vol", "sell_vol"} <= set(rows.columns):
        sold, bought = rows["sell_vol"].fill_null(0).to_numpy(), rows["buy_vol"].fill_null(0).to_numpy()
        axes.bar(middle, sold, width, color=DOWN, linewidth=0, label="sold")
        axes.bar(middle, bought, width, bottom=sold, color=UP, linewidth=0, label="bought")
        axes.legend(loc="upper left", fontsize=7, ncols=3, frameon=False)
    axes.set_ylabel("volume, base")


def _first_number(frame: pl.DataFrame) -> str:
    """The mid, or else the first column of floats. Raises: DataError where there is none."""
    names = [n for n, dtype in frame.schema.items() if dtype.is_float()]
    if not names:
        raise DataError("the data have no column of numbers to plot")
    return "mid" if "mid" in names else names[0]
