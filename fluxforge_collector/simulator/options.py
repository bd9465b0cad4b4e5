"""Options of the simulated exchange, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fluxforge_collector.errors import ConfigError
from fluxforge_collector.simulator.listing import DEFAULT_SYMBOLS
from fluxforge_collector.simulator.scenario import Step
from fluxforge_collector.simulator.venues import VENUES
from fluxforge_collector.simulator.verbatim import Replay

Speed = float | Literal["max"]


@dataclass(frozen=True)
class SimulatorOptions:
    """What to simulate and where to serve it.

    `port` 0 takes a free one. `speed` is simulated seconds per second, or `max`: as fast as the clients consume.
    `captures` are recordings to play instead of the stochastic market, `replays` what a collector has recorded, up to
    `replay_from_us` as fast as it is taken; `truth_file` receives the ground truth as
    JSON lines; `truth_limit` bounds the frames remembered in memory. `start_us` is the exchange's clock at the start,
    default now. `in_flight` is how many played frames may be unconsumed at speed `max`. `far_levels` are levels
    a side far off the price, which make snapshots giant. `scenario` are faults and when they happen.

    Raises: ConfigError for an unknown exchange, or a speed that is not positive.
    """

    port: int = 0
    seed: int = 1
    exchanges: tuple[str, ...] = ("binanceus", "okx")
    instruments: tuple[str, ...] = DEFAULT_SYMBOLS
    speed: Speed = 1.0
    captures: tuple[Path, ...] = ()
    replays: tuple[Replay, ...] = ()
    replay_from_us: int | None = None
    truth_file: Path | None = None
    truth_limit: int = 200_000
    start_us: int | None = None
    in_flight: int = 256
    far_levels: int = 0
    scenario: tuple[Step, ...] = ()
    quiet_s: float = 1.0
    patience_s: float = 10.0

    def __post_init__(self) -> None:
        for exchange in self.exchanges:
            if exchange not in VENUES:
                raise ConfigError(f"no simulated exchange speaks {exchange!r}", f"choose from {', '.join(VENUES)}")
        if not self.exchanges or not self.instruments:
            raise ConfigError("the simulated exchange has nothing to serve", "name an exchange and an instrument")
        if self.speed != "max" and not 0 < self.speed < math.inf:
            raise ConfigError(f"speed {self.speed!r} is not a positive number", "use a number such as 1 or 10, or max")
        if not 0 <= self.far_levels <= 100_000:
            raise ConfigError(f"far_levels {self.far_levels} is out of range", "use 0 to 100000")
        if self.in_flight < 1:
            raise ConfigError(f"in_flight {self.in_flight} leaves nothing to send", "use 1 or more")
