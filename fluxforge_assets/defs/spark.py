"""A picture small enough to stand in a line of a table: curves of a few dozen points, as SVG of less than a kilobyte.

Dagster shows Markdown in place only below a thousand characters, and keeps it with every materialisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
MOST_CHARACTERS = 999
_POINTS = (80, 64, 52, 42, 34, 28, 20, 10)
_WIDTH, _HEIGHT, _GAP = 320, 32, 10


def spark(curves: Mapping[str, Float64Array]) -> str:
    """Markdown with one curve below another, each with its name and the range of its values.

    Args:
        curves: values in order of time, by name; NaN breaks the curve. Long ones are drawn by the means of stretches.
    """
    for points in _POINTS:
        text = f"![{', '.join(curves)}](data:image/svg+xml,{_svg(curves, points)})"
        if len(text) <= MOST_CHARACTERS:
            return text
    return ", ".join(f"{name} {_span(values)}" for name, values in curves.items())


def _svg(curves: Mapping[str, Float64Array], points: int) -> str:
    pieces = []
    for row, (name, values) in enumerate(curves.items()):
        top = row * (_HEIGHT + _GAP) + 4
        pieces.append(f"<path d='{_path(_means(values, points), top)}'/>")
        pieces.append(f"<text x='{_WIDTH + 8}' y='{top + 20}'>{name} {_span(values)}</text>")
    height = len(curves) * (_HEIGHT + _GAP)
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH + 240}' height='{height}' font-size='12'>"
    style = "<style>path{fill:none;stroke:#22577a;stroke-linecap:round}text{fill:gray}</style>"
    return quote(f"{head}{style}{''.join(pieces)}</svg>", safe="/='{}:;,.-")


def _path(values: Float64Array, top: int) -> str:
    """A path in whole pixels, relative from point to point."""
    low, high = _range(values)
    shown = np.full(len(values), -1)
    is_known = np.isfinite(values)
    share = (values[is_known] - low) / ((high - low) or 1.0)
    shown[is_known] = np.rint(top + _HEIGHT - 1 - share * (_HEIGHT - 2)).astype(int)
    step = max(1, _WIDTH // max(1, len(values) - 1))
    text, before = "", -1
    for column, y in enumerate(shown.tolist()):
        if y >= 0:
            text += f"M{column * step},{y}h0l0,0" if before < 0 else f",{step},{y - before}"
        before = y
    return text


def _means(values: Float64Array, points: int) -> Float64Array:
    """The mean of each of so many stretches; NaN where a stretch has no value."""
    if len(values) <= points:
        return values
    stretch = np.arange(len(values)) * points // len(values)
    is_known = np.isfinite(values)
    count = np.bincount(stretch[is_known], minlength=points)
    total = np.bincount(stretch[is_known], weights=values[is_known], minlength=points)
    means: Float64Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def _range(values: Float64Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


def _span(values: Float64Array) -> str:
    low, high = _range(values)
    return f"{low:.6g}..{high:.6g}" if np.isfinite(values).any() else "none"
