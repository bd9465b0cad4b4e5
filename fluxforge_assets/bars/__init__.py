"""Gold bars: silver rows rolled up into bars of every configured duration (catalogue 9).

Bars made straight from trades are loaded when they are asked for: only they need the compiled kernels.
"""

from typing import TYPE_CHECKING, Any

from fluxforge_assets.bars.columns import bar_columns
from fluxforge_assets.bars.roll_up import compute_bars

if TYPE_CHECKING:
    from fluxforge_assets.bars.trades import trade_bar_columns, trade_bars

__all__ = ["bar_columns", "compute_bars", "trade_bar_columns", "trade_bars"]


def __getattr__(name: str) -> Any:
    if name in {"trade_bar_columns", "trade_bars"}:
        from fluxforge_assets.bars import trades  # noqa: PLC0415  compiled kernels load where they are asked for only

        return getattr(trades, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
