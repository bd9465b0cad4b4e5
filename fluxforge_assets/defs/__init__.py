"""Dagster's definitions: one file per Dagster idea. What is computed, and where it goes, is in `lake`."""
