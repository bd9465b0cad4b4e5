"""What every picture shares: colours, the empty figure, the axis of UTC times, and its bytes as a file."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Format = Literal["png", "svg", "html"]

UP, DOWN, LINE, QUIET = "#1f7a5c", "#c2452d", "#22577a", "#8a8f98"
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
    "svg.hashsalt": "fluxforge",
}


def panels(title: str, height: float, ratios: Sequence[float] = (1,), width: float = 10.0) -> tuple[Figure, list[Axes]]:
    """A figure of a size in inches, its title at the left, with panels below one another over one time axis."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        axes = figure.subplots(len(ratios), sharex=True, height_ratios=ratios, squeeze=False)[:, 0]
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure, list(axes)


def datetimes(us: Int64Array) -> npt.NDArray[np.datetime64]:
    """Microseconds since the epoch as times."""
    return us.astype("datetime64[us]")


def time_axis(axes: Axes) -> None:
    """UTC times along the bottom."""
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("time, UTC")


def render(figure: Figure, form: Format, *, title: str = "FluxForge") -> bytes:
    """The figure as a PNG or SVG file, or as a page that needs no other file."""
    out = io.BytesIO()
    with mpl.rc_context(STYLE):
        if form == "png":
            figure.savefig(out, format="png")
            return out.getvalue()
        figure.savefig(out, format="svg", metadata={"Date": None})
    if form == "svg":
        return out.getvalue()
    text = out.getvalue().decode()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        "<style>body{margin:2rem auto;max-width:72rem;font-family:sans-serif}svg{width:100%;height:auto}</style>\n"
        f"</head><body>\n{text[text.index('<svg') :]}</body></html>\n"
    ).encode()
