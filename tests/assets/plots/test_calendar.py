"""The calendar's cells show their shares, however small, and nothing else."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from fluxforge_assets.plots.calendar import CELL_PX, LEGEND, Cell, _bands, calendar_figure

PROVEN, UNPROVEN, GAP, ABSENT = (to_rgb(colour) for colour in LEGEND.values())


def lines(cell, colour):
    return int(np.isclose(_bands(cell, CELL_PX), colour).all(axis=1).sum())


@pytest.mark.parametrize(
    ("cell", "counts"),
    [
        (Cell(1, 0, 0), (24, 0, 0, 0)),
        (Cell(0, 0, 0), (0, 0, 0, 24)),
        (Cell(0, 0.5, 0.25), (0, 12, 6, 6)),
        (Cell(0.99999, 0, 0.00001), (23, 0, 1, 0)),
        (Cell(0, 0, 1), (0, 0, 24, 0)),
    ],
    ids=["whole", "absent", "parts", "a gap of a second", "all gap"],
)
def test_each_share_takes_its_lines(cell, counts):
    assert tuple(lines(cell, colour) for colour in (PROVEN, UNPROVEN, GAP, ABSENT)) == counts


def test_proven_stands_at_the_bottom():
    assert tuple(_bands(Cell(0.5, 0, 0), CELL_PX)[-1]) == PROVEN


def test_every_instrument_and_a_legible_number_of_dates_are_named():
    dates = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    cells = {(f"okx:A{n}-USDT", date): Cell(1, 0, 0) for n in range(3) for date in dates}
    axes = calendar_figure(cells, dates, title="x").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"okx:A{n}-USDT" for n in range(3)]
    assert 10 <= len(axes.get_xticklabels()) <= 31
