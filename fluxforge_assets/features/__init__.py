"""The feature catalogue, computed: one family or one step a file; `silver.py` puts them together."""
