"""Gold bars: silver rows rolled up into bars of every configured duration (catalogue 9)."""

from fluxforge_assets.bars.columns import bar_columns
from fluxforge_assets.bars.roll_up import compute_bars
from fluxforge_assets.bars.trades import trade_bar_columns, trade_bars

__all__ = ["bar_columns", "compute_bars", "trade_bar_columns", "trade_bars"]
