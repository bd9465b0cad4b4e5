"""Faults on command: their kinds, what each needs, and which frames and requests they wait for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from fluxforge_collector.errors import ConfigError

FRAME_FAULTS = {
    "drop": "the frame is not sent",
    "malformed": "half of the frame is sent",
    "missing_field": "`field` is missing, or else the last key of the frame's innermost object",
    "error_frame": "the venue's error frame comes before the frame",
    "checksum": "the frame's checksum is wrong",
    "price": "the first price of the frame, of no deleted level, is `field` instead: NaN unless given, -1 or 1e999",
    "deep": "a frame of 100,000 nested lists comes before it",
    "oversize": "a frame of 12 MiB comes before it",
    "duplicate": "the frame is sent twice",
    "reorder": "the frame comes after the next one of its stream",
    "delay": "the frame, and all behind it on its connections, come `seconds` late",
}
CONNECTION_FAULTS = {
    "close": "closed with `code` (1001)",
    "abort": "broken without a close frame",
    "silence": "no data for `seconds`; pings and subscriptions are answered",
    "mute": "nothing is sent or answered for `seconds`",
    "half_open": "nothing is sent, answered or read for `seconds`, not even a close",
}
REST_FAULTS = {
    "slow_rest": "answered `seconds` late",
    "rest_error": "answered with status `code` (429), and Retry-After where `retry_after` is given",
}
SOCKET_FAULTS = {
    "slow_socket": "the handshake is answered `seconds` late",
    "refuse_socket": "refused with status `code` (429), and Retry-After where `retry_after` is given",
}
MARKET_FAULTS = {
    "gap": "the venue's sequence jumps by `count` though no frame is lost",
    "clock_skew": "the exchange's clock jumps by `seconds`, which may be negative",
    "delist": "`symbol` is no longer listed; nothing more comes of it",
    "restart": "the server goes away and is back on its port after `seconds`",
}
KINDS = FRAME_FAULTS | CONNECTION_FAULTS | REST_FAULTS | SOCKET_FAULTS | MARKET_FAULTS


@dataclass(frozen=True)
class Fault:
    """One fault. A fault of frames or requests acts on the next `count` that match, the others act at once.

    `exchange`, `symbol`, `channel` say what it matches; None matches any. What `seconds`, `code`, `retry_after` (in
    seconds) and `field` mean is said with the kinds; a silence of 0 seconds lasts as long as its connection.

    Raises: ConfigError for an unknown kind, or a value that the kind cannot have.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    kind: str
    exchange: str | None = None
    symbol: str | None = None
    channel: str | None = None
    count: int = 1
    code: int | None = None
    seconds: float = 1.0
    retry_after: int | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"there is no fault {self.kind!r}", f"choose from {', '.join(KINDS)}")
        if self.count < 1:
            raise ConfigError(f"a fault of {self.count} frames does nothing", "use a count of 1 or more")
        if self.kind == "delist" and self.symbol is None:
            raise ConfigError("delist needs a symbol", "name one that is listed, such as BTC/USDT")
        if not abs(self.seconds) < 1e6 or (self.seconds < 0 and self.kind != "clock_skew"):
            raise ConfigError(f"a fault cannot last {self.seconds} seconds", "use 0 or more")
        if self.kind == "close" and not 1000 <= self.close_code <= 4999:
            raise ConfigError(f"{self.code} is no close code", "use one such as 1001, 1012 or 4000")
        if self.kind in {"rest_error", "refuse_socket"} and not 400 <= self.status <= 599:
            raise ConfigError(f"{self.code} is no HTTP error", "use one such as 418, 429 or 503")

    @property
    def close_code(self) -> int:
        """The close code of `close`."""
        return 1001 if self.code is None else self.code

    @property
    def status(self) -> int:
        """The HTTP status of `rest_error` and `refuse_socket`."""
        return 429 if self.code is None else self.code


class FaultPlan:
    """The faults that wait for their frames or requests, in the order given."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait."""
        self._waiting.append(fault)

    def take(self, exchange: str, symbol: str = "", channel: str = "") -> Fault | None:
        """The fault that acts on this frame or request, if any; it is used up by one."""
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
    try:
        return _FAULT.validate_python(body)
    except ValidationError as error:
        raise ConfigError(f"this is no fault: {problems(error)}", 'send {"kind": "drop", "count": 3}') from None


def problems(error: ValidationError) -> str:
    """The first mistakes of a validation in one line: where, and what is wrong there."""
    found = []
    for detail in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in detail["loc"])
        what = "unknown key" if detail["type"] == "unexpected_keyword_argument" else detail["msg"]
        found.append(f"{where}: {what}" if where else what)
    return "; ".join(found)


_FAULT = TypeAdapter(Fault)
