"""Collects order books, trades and tickers into crash-safe bronze segments. Never imports Dagster."""

__version__ = "0.1.0"
