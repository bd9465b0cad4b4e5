"""Compiled passes over events. A kernel knows arrays and numbers only: no tables, no columns, no configuration."""
