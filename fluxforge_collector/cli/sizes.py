"""How much there is of something, as people read it: bytes, and what is counted."""

from __future__ import annotations


def readable(count: float) -> str:
    """A number of bytes in the largest unit of which there is one, such as `53.6 MiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def counted(count: int, what: str) -> str:
    """So many of something, such as `1 row` or `2,000 rows`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
