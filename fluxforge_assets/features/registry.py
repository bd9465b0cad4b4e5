"""The declared features, by kind, in catalogue order. A family's file adds to them when it is imported.

Nothing is computed here; `silver.py` imports the family files in the order of the catalogue.
"""

from __future__ import annotations

from fluxforge_assets.tables import Feature

STATIC: list[Feature] = []
"""Values of the bucket's last valid book: families A to F."""

FLOW: list[Feature] = []
"""Mergeable statistics of one bucket: identity and quality, families G, H, I."""

AGE: list[Feature] = []
"""Ages, latency, seasonality: family R."""

WINDOWS: list[Feature] = []
"""Values of a window of merged statistics: families J to Q."""
