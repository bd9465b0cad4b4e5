"""Coinbase Advanced Trade, spoken to directly: its messages, their mapping, its books, its connections."""
