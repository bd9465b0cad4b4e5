"""The demo: exchange, collector and Dagster as processes of their own under one root, watched from outside."""
