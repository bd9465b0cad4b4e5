"""Faults on command: what each does to a frame or a connection, and when it applies. New kinds are added here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fluxforge_collector.errors import ConfigError


@dataclass(frozen=True)
class Fault:
    """One fault. A frame fault acts on the next `count` matching frames; a connection fault acts at once.

    `exchange`, `symbol`, `channel` say what it matches; None matches any. `code` is the close code of `close`.
    """

    kind: str
    exchange: str | None = None
    symbol: str | None = None
    channel: str | None = None
    count: int = 1
    code: int = 1001

    def __post_init__(self) -> None:
        if self.kind not in FRAME_FAULTS and self.kind not in CONNECTION_FAULTS:
            known = ", ".join([*FRAME_FAULTS, *CONNECTION_FAULTS])
            raise ConfigError(f"there is no fault {self.kind!r}", f"choose from {known}")
        if self.count < 1:
            raise ConfigError(f"a fault of {self.count} frames does nothing", "use a count of 1 or more")


FRAME_FAULTS: dict[str, Callable[[str], list[str]]] = {
    "drop": lambda _: [],
    "malformed": lambda text: [text[: len(text) // 2]],
    "duplicate": lambda text: [text, text],
}
"""Frame fault → the texts sent instead of the frame's."""

CONNECTION_FAULTS = ("close", "abort")


class FaultPlan:
    """The frame faults that wait for their frames, in the order given."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a frame fault wait for its frames."""
        self._waiting.append(fault)

    def take(self, exchange: str, symbol: str, channel: str) -> Fault | None:
        """The fault that acts on this frame, if any; it is used up by one frame."""
        for index, fault in enumerate(self._waiting):
            if (
                fault.exchange in {None, exchange}
                and fault.symbol in {None, symbol}
                and fault.channel in {None, channel}
            ):
                if fault.count == 1:
                    del self._waiting[index]
                else:
                    self._waiting[index] = replace(fault, count=fault.count - 1)
                return fault
        return None


def parse_fault(body: Any) -> Fault:
    """The fault a control request describes. Raises: ConfigError for an unknown key or a wrong value."""
    if not isinstance(body, dict) or "kind" not in body:
        raise ConfigError("a fault is a JSON object with a kind", 'send {"kind": "drop", "count": 3}')
    unknown = set(body) - set(Fault.__dataclass_fields__)
    if unknown:
        raise ConfigError(
            f"a fault has no {', '.join(sorted(unknown))}", f"use {', '.join(Fault.__dataclass_fields__)}"
        )
    if not isinstance(body.get("count", 1), int) or not isinstance(body.get("code", 1001), int):
        raise ConfigError("count and code are integers", 'send {"kind": "drop", "count": 3}')
    return Fault(**body)
