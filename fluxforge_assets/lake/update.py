"""Bringing all datasets of a date up to date, instrument by instrument; one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fluxforge_assets.lake.advance import advance
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bars import GoldBars
from fluxforge_assets.lake.cross_venue import GoldCrossVenue
from fluxforge_assets.lake.events import SilverTicker, SilverTrades
from fluxforge_assets.lake.labels import GoldLabels
from fluxforge_assets.lake.ofi_integrated import GoldOfiIntegrated
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change, Recipe
from fluxforge_assets.lake.silver import SilverOrderbook
from fluxforge_assets.lake.vpin import GoldVpin
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument

_KNOWN = (
    SilverOrderbook, SilverTrades, SilverTicker, GoldBars, GoldLabels, GoldVpin, GoldCrossVenue, GoldOfiIntegrated,
)  # fmt: skip


@dataclass(frozen=True)
class Failed:
    """A partition that could not be brought up to date; it is as it was."""

    place: Place
    asset: str
    error: FluxForgeError


def recipes(lake: Lake, config: Config, source: str) -> list[Recipe]:
    """The recipes of the channels that are enabled, in the order the data flows."""
    channels = config.etl.channels
    made: list[Recipe] = []
    if channels.orderbook.enabled:
        made.append(SilverOrderbook(lake, config, source))
    if channels.trades.enabled:
        made.append(SilverTrades(lake, config, source))
    if channels.ticker.enabled:
        made.append(SilverTicker(lake, config, source))
    if channels.orderbook.enabled:
        made.append(GoldBars(lake, config, source))
    return made


def recipe_of(asset: str, lake: Lake, config: Config, source: str) -> Recipe:
    """The recipe of an asset, whether or not its channel is enabled."""
    known: dict[str, Callable[[Lake, Config, str], Recipe]] = {made.dataset.asset: made for made in _KNOWN}
    return known[asset](lake, config, source)


def places_of(lake: Lake, source: str, date: str) -> list[Place]:
    """The instruments with bronze rows on a date, by key."""
    archive = Archive(lake, source)
    keys = sorted(archive.instruments(archive.names(date)))
    return [Place(source, Instrument.from_key(key), date) for key in keys]


def sources_of(lake: Lake, instrument: Instrument, date: str) -> list[str]:
    """The sources that brought rows of an instrument on a date."""
    return [s for s in lake.sources() if any(p.instrument == instrument for p in places_of(lake, s, date))]


def update(lake: Lake, config: Config, source: str, date: str) -> Iterator[Change | Failed]:
    """Advance every partition of a date, and tell what changed."""
    made = recipes(lake, config, source)
    for place in places_of(lake, source, date):
        for recipe in made:
            try:
                change = advance(lake, recipe, place)
            except FluxForgeError as error:
                yield Failed(place, recipe.dataset.asset, error)
                continue
            if change is not None:
                yield change


def is_complete(lake: Lake, source: str, date: str) -> bool:
    """Whether nothing more is to come for a date."""
    watermark = Archive(lake, source).watermark_us()
    return watermark is not None and watermark >= Place(source, Instrument("x", "x"), date).end_us
