"""Gold tables other than bars and labels: VPIN, cross-venue, integrated OFI. From silver rows only, without Dagster."""

from fluxforge_assets.gold.cross_venue import compute_cross_venue, cross_venue_columns
from fluxforge_assets.gold.ofi_integrated import compute_ofi_integrated, ofi_integrated_columns
from fluxforge_assets.gold.vpin import compute_vpin, vpin_columns

__all__ = [
    "compute_cross_venue",
    "compute_ofi_integrated",
    "compute_vpin",
    "cross_venue_columns",
    "ofi_integrated_columns",
    "vpin_columns",
]
