"""Showing the configuration: each value with its origin, and the columns that each feature option creates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fluxforge_collector.config.load import Loaded, flatten


class Setting(NamedTuple):
    """One effective value and where it came from."""

    key: str
    value: Any
    origin: str


def settings(loaded: Loaded) -> Iterator[Setting]:
    """Every effective value; secrets show as stars."""
    for key, value in flatten(loaded.config.model_dump(mode="json")):
        origin = next(
            (o for k, o in loaded.origins.items() if key == k or key.startswith((f"{k}.", f"{k}["))),
            "default",
        )
        yield Setting(key, value, origin)
