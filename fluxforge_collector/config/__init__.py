"""The configuration: its model, reading it, and showing where each value came from."""
