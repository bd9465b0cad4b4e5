"""Scenarios: faults with their times, read from a file or drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from fluxforge_collector.config.load import read_file
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator.faults import (
    CONNECTION_FAULTS,
    FRAME_FAULTS,
    KINDS,
    REST_FAULTS,
    SOCKET_FAULTS,
    Fault,
    problems,
)

_EVERY_S = 4.0  # between two faults of a soak, on average
_LASTS_S = {
    "delay": 2.0,
    "silence": 20.0,
    "mute": 20.0,
    "half_open": 20.0,
    "slow_rest": 3.0,
    "slow_socket": 3.0,
    "restart": 3.0,
}
_COUNTED = {*FRAME_FAULTS, *REST_FAULTS, *SOCKET_FAULTS, "gap"}
_CHANNELS = ("orderbook", "trades", "ticker")


@dataclass(frozen=True, kw_only=True)
class Step(Fault):
    """A fault and when it happens: `at_s` seconds after the start, or once `at_frame` frames have been sent.

    Raises: ConfigError unless it has one of them.
    """

    at_s: float | None = None
    at_frame: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.at_s is None) is (self.at_frame is None):
            raise ConfigError(f"{self.kind} needs one time", "give either at_s (seconds) or at_frame (frames sent)")
        if (self.at_s or 0) < 0 or (self.at_frame or 0) < 0:
            raise ConfigError(f"{self.kind} happens before the start", "use a time of 0 or more")

    def __str__(self) -> str:
        when = f"{self.at_s:.1f} s" if self.at_s is not None else f"frame {self.at_frame}"
        what = [self.kind, self.exchange or "any exchange", self.symbol, self.channel]
        number = f"x{self.count}" if self.count > 1 and self.kind in _COUNTED else None
        lasts = f"{self.seconds:g} s" if self.kind in {*_LASTS_S, "clock_skew"} else None
        code = str(self.code) if self.code is not None else None
        return f"{when}: {' '.join(part for part in [*what, number, lasts, code] if part)}"


class _Scenario(BaseModel):
    model_config = ConfigDict(extra="forbid")

    faults: tuple[Step, ...]


def read_scenario(path: Path) -> tuple[Step, ...]:
    """The steps in a YAML file, in order. Raises: ConfigError with the step and what is wrong with it."""
    if not path.is_file():
        raise ConfigError(f"no scenario {path}", "name an existing YAML file")
    values = read_file(path)
    try:
        return _Scenario.model_validate(values).faults
    except ValidationError as error:
        remedy = "write steps such as: faults: [{at_s: 5, kind: drop, count: 3}]"
        raise ConfigError(f"{path} is no scenario: {problems(error)}", remedy) from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.remedy) from None


def draw_soak(
    seed: int, exchanges: tuple[str, ...], symbols: tuple[str, ...], seconds: float, *, is_played: bool = False
) -> tuple[Step, ...]:
    """Faults of all kinds but delisting, at random for so long; the same arguments give the same steps.

    `is_played`: for a recording, which has no faults of the market itself.
    """
    rng = random.Random(f"{seed}:soak")  # noqa: S311 - faults, not secrets
    kinds = sorted(
        {*FRAME_FAULTS, *CONNECTION_FAULTS, *REST_FAULTS, *SOCKET_FAULTS, "restart"}
        if is_played
        else set(KINDS) - {"delist"}
    )
    return tuple(_draw(rng, at_s, rng.choice(kinds), exchanges, symbols) for at_s in _times(rng, seconds))


def _times(rng: random.Random, seconds: float) -> Iterator[float]:
    at_s = rng.expovariate(1 / _EVERY_S)
    while at_s < seconds:
        yield round(at_s, 1)
        at_s += rng.expovariate(1 / _EVERY_S)


def _draw(rng: random.Random, at_s: float, kind: str, exchanges: tuple[str, ...], symbols: tuple[str, ...]) -> Step:
    has_symbol = kind in FRAME_FAULTS or kind == "gap"
    longest = _LASTS_S.get(kind)
    seconds = round(rng.uniform(0.2, longest), 1) if longest else 1.0
    if kind == "clock_skew":
        seconds = round(rng.uniform(-2, 2), 1)
    code = {"close": rng.choice((1000, 1001, 1011, 1012)), "rest_error": rng.choice((418, 429, 503))}.get(kind)
    code = rng.choice((429, 503)) if kind == "refuse_socket" else code
    return Step(
        kind,
        exchange=rng.choice(exchanges),
        symbol=rng.choice(symbols) if has_symbol else None,
        channel=rng.choice(_CHANNELS) if kind in FRAME_FAULTS else None,
        count=rng.randint(1, 3),
        code=code,
        seconds=seconds,
        retry_after=rng.randint(1, 3) if kind in {"rest_error", "refuse_socket"} else None,
        at_s=at_s,
    )
