"""Segments: how records become durable files. A segment knows no exchange."""
