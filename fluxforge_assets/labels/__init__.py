"""Labels: what happened after each silver row. Every column looks ahead and is never an input of a model."""

from fluxforge_assets.labels.table import compute_labels, label_columns

__all__ = ["compute_labels", "label_columns"]
