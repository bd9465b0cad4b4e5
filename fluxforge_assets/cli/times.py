"""Times and lengths of time as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fluxforge_collector.errors import FluxForgeError

UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def instant_us(text: str | None) -> int | None:
    """Microseconds since the epoch of an ISO time, UTC without a zone, or of a whole number, which is them already.

    Raises: FluxForgeError where it is no time.
    """
    if text is None:
        return None
    if re.fullmatch(r"\d{10,}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise FluxForgeError(f"{text!r} is no time", "write it like 2026-11-24T12:00") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)


def length_us(text: str | None) -> int | None:
    """Microseconds of a length such as 10m. Raises: FluxForgeError where it is none."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise FluxForgeError(f"{text!r} is no length of time", "write it like 30s, 10m, 4h or 1d")
    return round(float(match[1]) * UNITS_US[match[2]])
