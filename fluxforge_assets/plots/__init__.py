"""Pictures of silver, bars and books: polars frames in, matplotlib figures or their bytes out. Reads no files."""

from fluxforge_assets.plots.canvas import Format, render
from fluxforge_assets.plots.depth import depth_figure
from fluxforge_assets.plots.series import features_figure, mid_figure, small_plot

__all__ = ["Format", "depth_figure", "features_figure", "mid_figure", "render", "small_plot"]
