"""Dates and instruments as people name them, checked before use: an error says what could have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument


def check_date(text: str) -> str:
    """A UTC date that has begun. Raises: FluxForgeError."""
    try:
        date = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        raise FluxForgeError(f"{text!r} is no date", "write it like 2026-11-24") from None
    today = datetime.now(UTC).date().isoformat()
    if date > today:
        raise FluxForgeError(f"{date} has not begun", f"today is {today} (UTC)")
    return date


def instrument_key(name: str) -> str:
    """An instrument's key; `binanceus:BTC/USDT` is understood too."""
    exchange, _, symbol = name.partition(":")
    return Instrument(exchange, symbol).key if "/" in symbol else name


def check_instruments(names: Sequence[str], known: Iterable[str]) -> frozenset[str]:
    """The keys of instruments. Raises: FluxForgeError that names the nearest."""
    all_known = sorted(set(known))
    found = set()
    for name in names:
        key = instrument_key(name)
        if key not in all_known:
            near = difflib.get_close_matches(key, all_known, n=3, cutoff=0.4) or all_known[:5]
            hint = f"did you mean {', '.join(near)}?" if near else "nothing has been collected yet"
            raise FluxForgeError(f"there is no instrument {name!r} in the lake", hint)
        found.add(key)
    return frozenset(found)
