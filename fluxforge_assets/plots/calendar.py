"""The calendar of completeness: instrument × day, each cell filled by its shares of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fluxforge_assets.plots.canvas import DOWN, LINE, UP, Float64Array, panels

ABSENT = "#e4e6ea"
LEGEND = {"proven complete": UP, "here, unproven": LINE, "gap": DOWN, "not collected": ABSENT}
CELL_PX, EDGE_PX = 24, 2
MOST_LABELS = 31


class Cell(NamedTuple):
    """Shares of a day, of 1 together with what was not collected."""

    proven: float
    unproven: float
    gap: float


def calendar_figure(cells: Mapping[tuple[str, str], Cell], dates: Sequence[str], *, title: str) -> Figure:
    """The cells, by instrument and date, a row per instrument; what has no cell was not collected."""
    names = sorted({name for name, _ in cells})
    image = np.ones((CELL_PX * len(names), CELL_PX * len(dates), 3))
    for row, name in enumerate(names):
        for column, date in enumerate(dates):
            top, left = row * CELL_PX, column * CELL_PX
            inside = image[top : top + CELL_PX - EDGE_PX, left : left + CELL_PX - EDGE_PX]
            inside[:] = _bands(cells.get((name, date), Cell(0, 0, 0)), len(inside))[:, None, :]
    width = min(24.0, max(6.0, 2.6 + 0.32 * len(dates)))
    figure, (axes,) = panels(title, max(2.2, 1.4 + 0.32 * len(names)), width=width)
    axes.imshow(image, interpolation="nearest", aspect="auto", extent=(0, len(dates), len(names), 0))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    step = -(-len(dates) // MOST_LABELS)
    shown = list(range(0, len(dates), step))
    axes.set_xticks([index + 0.5 for index in shown], [dates[index] for index in shown], rotation=60, ha="right")
    handles = [Patch(color=colour, label=label) for label, colour in LEGEND.items()]
    figure.legend(handles=handles, loc="outside lower right", ncols=len(LEGEND), frameon=False, fontsize=8)
    return figure


def _bands(cell: Cell, height: int) -> Float64Array:
    """The colour of each of `height` lines of a cell, from below; whatever is there at all takes a line at least."""
    shares = [cell.proven, cell.unproven, cell.gap, max(0.0, 1 - sum(cell))]
    lines = [max(1, round(share * height)) if share > 1e-9 else 0 for share in shares]
    lines[int(np.argmax(lines))] += height - sum(lines)
    colours = [to_rgb(colour) for colour in LEGEND.values()]
    return np.repeat(np.array(colours), lines, axis=0)[::-1]
