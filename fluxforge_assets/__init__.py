"""Turns bronze segments into silver features and gold bars: the Dagster code location and the compute engine."""
