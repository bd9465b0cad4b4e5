"""Which sources a configuration names, what each collects, and how its exchanges are made. Nothing runs here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from fluxforge_collector.config.model import Config
from fluxforge_collector.config.sources import Coinbase
from fluxforge_collector.config.sources import Exchange as Settings
from fluxforge_collector.errors import ConfigError
from fluxforge_collector.exchanges.asked import streams_of
from fluxforge_collector.exchanges.gaps import Stream
from fluxforge_collector.exchanges.surroundings import Ends, Start
from fluxforge_collector.instruments import Instrument

SOURCES = {"ccxt": "exchanges", "coinbase": "coinbase"}
"""The collector families, and the section of the configuration that says what each collects."""

Refuse = Callable[[str], None]


class Exchange(Protocol):
    """What collects one exchange, whichever source it belongs to."""

    async def run(self) -> None:
        """Collect until cancelled; returns only where nothing can be collected at all."""

    @property
    def unwatched_s(self) -> float:
        """Seconds for which nobody has looked after the connections of some feed."""

    def checkpoint(self, at_us: int) -> None:
        """Write what is missing up to an instant, capture time, although it is missing still."""


@dataclass(frozen=True)
class Plan:
    """What one source collects, by exchange; `make` makes its exchanges."""

    source: str
    streams: dict[str, list[Stream]]
    make: Callable[[Ends, Start, Refuse], list[Exchange]]

    @property
    def instruments(self) -> list[Instrument]:
        """Every instrument, once."""
        return sorted({Instrument(name, s.symbol) for name, streams in self.streams.items() for s in streams})


def plans(config: Config, sources: Iterable[str] | None = None) -> list[Plan]:
    """The plans of the sources asked for, by default of all that the configuration has a section for.

    Raises: ConfigError where a source does not exist or has no section, nothing is configured at all, ccxt does not
    know an exchange, or a key cannot sign; FeedError where ccxt is not the one pinned.
    """
    asked = list(dict.fromkeys(sources or _configured(config)))
    if not asked:
        raise ConfigError(
            "the configuration names no exchange",
            "add one under exchanges, or the section coinbase, see fluxforge.example.yaml",
        )
    return [_plan(source, config) for source in asked]


def _configured(config: Config) -> list[str]:
    """The sources that have a section."""
    return [source for source, section in SOURCES.items() if getattr(config, section)]


def _plan(source: str, config: Config) -> Plan:
    if source not in SOURCES:
        near = difflib.get_close_matches(source, SOURCES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(SOURCES)}"
        raise ConfigError(f"there is no source {source!r}", hint)
    if source == "ccxt" and config.exchanges:
        return _plan_ccxt(config.exchanges)
    if source == "coinbase" and config.coinbase is not None:
        return _plan_coinbase(config.coinbase)
    raise ConfigError(
        f"source {source} has nothing to collect: the configuration has no section {SOURCES[source]}",
        "add it, see fluxforge.example.yaml, or choose other --sources",
    )


def _plan_ccxt(exchanges: dict[str, Settings]) -> Plan:
    # ccxt takes a second to import: whoever collects Coinbase alone need not wait for it
    from fluxforge_collector.exchanges.ccxt_exchange import CcxtExchange, check_known  # noqa: PLC0415

    for exchange in exchanges:
        check_known(exchange)
    return Plan(
        "ccxt",
        {name: streams_of(settings) for name, settings in exchanges.items()},
        lambda ends, start, refuse: [
            CcxtExchange(name, settings, ends, start=start, refuse=refuse) for name, settings in exchanges.items()
        ],
    )


def _plan_coinbase(settings: Coinbase) -> Plan:
    from fluxforge_collector.exchanges.coinbase.exchange import CoinbaseExchange  # noqa: PLC0415
    from fluxforge_collector.exchanges.coinbase.mapping import EXCHANGE  # noqa: PLC0415
    from fluxforge_collector.exchanges.coinbase.signing import signer_of  # noqa: PLC0415

    sign = signer_of(settings.credentials)
    return Plan(
        "coinbase",
        {EXCHANGE: streams_of(settings)},
        lambda ends, start, refuse: [CoinbaseExchange(settings, ends, start=start, refuse=refuse, sign=sign)],
    )
