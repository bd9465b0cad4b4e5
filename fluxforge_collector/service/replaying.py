"""Replaying a recording into another lake, and comparing what comes of it with what came of it then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.records import Channel
from fluxforge_collector.service import collect
from fluxforge_collector.service.recorded import SourceFiles, rows_by_instrument, without_fetched
from fluxforge_collector.simulator import Simulator

CHANNELS = (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER)
_POLL_S = 0.1
_SOURCES = {"ccxt": "exchanges", "coinbase": "coinbase"}


@dataclass(frozen=True)
class Compared:
    """One channel of an instrument: rows then and now, and the first that differs, counted from 0."""

    channel: str
    instrument: str
    recorded: int
    replayed: int
    first_difference: int | None

    @property
    def is_same(self) -> bool:
        """Whether every row is the same by value, in the same order."""
        return self.first_difference is None


def config_of_replay(config: Config, source: str, exchanges: Sequence[str], url: str, into: Path) -> Config:
    """The configuration that collects what was recorded, from the replay, into another lake.

    Raises: ConfigError where the configuration does not name an exchange that was recorded.
    """
    section = getattr(config, _SOURCES[source])
    missing = [name for name in exchanges if source == "ccxt" and name not in section]
    if not section or missing:
        what = ", ".join(f"exchanges.{name}" for name in missing) or source
        raise ConfigError(
            f"the configuration has no section {what}", "replay with the configuration that was collected with"
        )
    pointed = {"base_url": url, "record_frames": False}
    changes: dict[str, object] = {"lake": config.lake.model_copy(update={"root": str(into)}), "exchanges": {}}
    if source == "ccxt":
        changes |= {"coinbase": None, "exchanges": {n: section[n].model_copy(update=pointed) for n in exchanges}}
    else:
        changes["coinbase"] = section.model_copy(update=pointed)
    metrics = config.metrics.model_copy(update={"enabled": False})
    return config.model_copy(update=changes | {"metrics": metrics})


async def replay_into(simulator: Simulator, config: Config) -> None:
    """Collect from a replay until it has been played to its end. Raises: what collecting raises."""
    stop = asyncio.Event()
    collecting = asyncio.create_task(collect(config, stop=stop))
    while not (simulator.is_finished or collecting.done()):  # noqa: ASYNC110  # the end of a replay is no event
        await asyncio.sleep(_POLL_S)
    stop.set()
    await collecting


def compare(
    recorded: SourceFiles, replayed: SourceFiles, exchanges: Sequence[str], from_us: int, to_us: int
) -> list[Compared]:
    """Bronze as it was collected between two capture times, and all that the replay gave, by value."""
    found = []
    for channel in CHANNELS:
        then = rows_by_instrument(recorded, channel, exchanges, from_us, to_us)
        now = rows_by_instrument(replayed, channel, exchanges, 0, 1 << 62)
        for key in sorted(then.keys() | now.keys()):
            one, other = then.get(key, []), now.get(key, [])
            if channel is Channel.TRADES:
                one, other = without_fetched(one, other)
            differing = (at for at, (a, b) in enumerate(zip_longest(one, other)) if a != b)
            found.append(Compared(channel, key, len(one), len(other), next(differing, None)))
    return found
