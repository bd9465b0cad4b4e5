"""The feature catalogue, row by row in plain Python: slow, obvious, written from the text alone.

Each file follows the sections its docstring names, in their order and words. Nothing here is shared with the product
but the options, so a mistake would have to be made twice to go unseen.
"""

from support.twin.bars import twin_bars
from support.twin.gold import twin_cross_venue, twin_ofi_integrated, twin_vpin
from support.twin.labels import twin_labels
from support.twin.silver import twin_silver

__all__ = [
    "twin_bars",
    "twin_cross_venue",
    "twin_labels",
    "twin_ofi_integrated",
    "twin_silver",
    "twin_vpin",
]
