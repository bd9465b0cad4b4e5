"""Gap rows of an instrument as what breaks the steps of its book and trade channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from fluxforge_assets.features.events import Frame, as_table, microseconds, require_columns
from fluxforge_assets.kernels.steps import Breaks
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.errors import DataError

Int64Array = npt.NDArray[np.int64]

_BOOK_CHANNELS = ("orderbook", "book", "all")
_TRADE_CHANNELS = ("trades", "trade", "all")


class ChannelBreaks(NamedTuple):
    """What breaks the steps of each channel."""

    book: Breaks
    trades: Breaks


def channel_breaks(gaps: Frame | None, options: FeatureOptions) -> ChannelBreaks:
    """Read the gap rows of one instrument. Raises: DataError where a row ends before it starts."""
    table = pa.table({}) if gaps is None else as_table(gaps, "gaps")
    if table.num_rows == 0:
        none = _frozen(np.empty(0, np.int64))
        breaks = Breaks(options.max_gap_us, none, none, none)
        return ChannelBreaks(breaks, breaks)
    require_columns(table, ("channel", "gap_start", "gap_end"), "gaps")
    starts, ends = microseconds(table["gap_start"], "gap_start"), microseconds(table["gap_end"], "gap_end")
    if (ends < starts).any():
        raise DataError("gaps: a gap ends before it starts", "swap gap_start and gap_end, or drop the row")
    channels = pl.Series(pl.from_arrow(table.select(["channel"]))).cast(pl.String)
    return ChannelBreaks(
        *(
            _breaks(starts[chosen], ends[chosen], options.max_gap_us)
            for chosen in (channels.is_in(names).to_numpy() for names in (_BOOK_CHANNELS, _TRADE_CHANNELS))
        )
    )


def _breaks(starts: Int64Array, ends: Int64Array, max_gap_us: int) -> Breaks:
    """Split markers from gaps and join gaps that overlap: a step across either part is broken just the same."""
    is_marker = starts == ends
    joined: list[tuple[int, int]] = []
    spans = zip(starts[~is_marker].tolist(), ends[~is_marker].tolist(), strict=True)
    for start, end in sorted(spans):
        # Gaps that only touch stay two: an event exactly between them connects to itself.
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    table = np.array(joined, np.int64).reshape(-1, 2)
    return Breaks(
        max_gap_us,
        _frozen(np.ascontiguousarray(table[:, 0])),
        _frozen(np.ascontiguousarray(table[:, 1])),
        _frozen(np.unique(starts[is_marker])),
    )


def _frozen(values: Int64Array) -> Int64Array:
    """Read-only, so that the kernels see one array type whatever the source."""
    values.setflags(write=False)
    return values
