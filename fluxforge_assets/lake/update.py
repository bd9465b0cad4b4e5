"""Bringing all datasets of a date up to date, instrument by instrument; one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fluxforge_assets.lake.advance import advance, lock_name
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.bars import GoldBars
from fluxforge_assets.lake.cross_venue import GoldCrossVenue
from fluxforge_assets.lake.datasets import Dataset
from fluxforge_assets.lake.events import SilverTicker, SilverTrades
from fluxforge_assets.lake.labels import GoldLabels
from fluxforge_assets.lake.landing import landing_lock, withdraw
from fluxforge_assets.lake.locks import locked
from fluxforge_assets.lake.marks import Mark, marks, settle
from fluxforge_assets.lake.ofi_integrated import GoldOfiIntegrated
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change, Recipe
from fluxforge_assets.lake.silver import SilverOrderbook
from fluxforge_assets.lake.tries import count_failure, forget, forget_all, name_of, tries
from fluxforge_assets.lake.vpin import GoldVpin
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import DataError, FluxForgeError, SegmentError
from fluxforge_collector.instruments import Instrument

_KNOWN = (
    SilverOrderbook, SilverTrades, SilverTicker, GoldBars, GoldLabels, GoldVpin, GoldCrossVenue, GoldOfiIntegrated,
)  # fmt: skip

KEEP_BYTES = 128 << 20
"""Bronze rows that a run over all instruments keeps in memory, so that it reads a segment's file once."""


@dataclass(frozen=True)
class Failed:
    """A partition that could not be brought up to date; it is as it was.

    `is_set_aside`: it has failed too often in a row, and is left alone until somebody materialises it.
    """

    place: Place
    asset: str
    error: FluxForgeError
    is_set_aside: bool = False


def recipes(lake: Lake, config: Config, source: str, archive: Archive | None = None) -> list[Recipe]:
    """The recipes of the channels that are enabled, in the order the data flows, over one archive if it is given."""
    channels = config.etl.channels
    made: list[Recipe] = []
    if channels.orderbook.enabled:
        made.append(SilverOrderbook(lake, config, source, archive))
    if channels.trades.enabled:
        made.append(SilverTrades(lake, config, source, archive))
    if channels.ticker.enabled:
        made.append(SilverTicker(lake, config, source, archive))
    if channels.orderbook.enabled:
        made.append(GoldBars(lake, config, source, archive))
    return made


def recipe_of(asset: str, lake: Lake, config: Config, source: str, archive: Archive | None = None) -> Recipe:
    """The recipe of an asset, whether or not its channel is enabled, over one archive if it is given."""
    known: dict[str, Callable[[Lake, Config, str, Archive | None], Recipe]] = {m.dataset.asset: m for m in _KNOWN}
    return known[asset](lake, config, source, archive)


def places_of(lake: Lake, source: str, date: str, archive: Archive | None = None) -> list[Place]:
    """The instruments with bronze rows on a date, by key."""
    archive = archive or Archive(lake, source)
    keys = sorted(archive.instruments(archive.names(date)))
    return [Place(source, Instrument.from_key(key), date) for key in keys]


def sources_of(archives: Iterable[Archive], instrument: Instrument, date: str) -> list[str]:
    """The sources that brought rows of an instrument on a date."""
    return [a.source for a in archives if any(a.brings(name, instrument.key) for name in a.names(date))]


def to_update(lake: Lake, archive: Archive) -> list[Mark]:
    """A source's dates with work left. The archive then shows all that their marks stand for: no landing is between."""
    with locked(lake, landing_lock(archive.source)):
        found = [known for known in marks(lake) if known.source == archive.source]
        archive.look_again()
        for known in found:
            archive.names(known.date)
    return found


def updated(lake: Lake, known: Mark) -> None:
    """Settle a date whose work was done, between landings; where one has brought more since, the mark stays."""
    is_done = is_complete(lake, known.source, known.date)
    with locked(lake, landing_lock(known.source)):
        settle(lake, known, is_complete=is_done)


def update(
    lake: Lake, config: Config, source: str, date: str, archive: Archive | None = None
) -> Iterator[Change | Failed]:
    """Advance every partition of a date but those set aside, and tell what changed."""
    archive = archive or Archive(lake, source, keep_bytes=KEEP_BYTES)
    made = recipes(lake, config, source, archive)
    failing = tries(lake, source, date)
    for place in places_of(lake, source, date, archive):
        for recipe in made:
            name = name_of(recipe.dataset.asset, place)
            known = failing.get(name)
            if known and known.failures >= config.etl.max_tries:
                continue
            try:
                change = advance(lake, recipe, place)
            except FluxForgeError as error:
                yield _failed(lake, config, recipe.dataset, place, error, archive)
                continue
            if known:
                forget(lake, source, date, name)
            if change is not None:
                yield change


def _failed(
    lake: Lake, config: Config, dataset: Dataset, place: Place, error: FluxForgeError, archive: Archive
) -> Failed:
    """The failure, counted where it lies in the data: a full disk sets nothing aside.

    What cannot be read of a segment at the last try takes the segment out of the archive, and the partition goes on.
    """
    asset = dataset.asset
    if not isinstance(error, DataError):
        return Failed(place, asset, error)
    with locked(lake, lock_name(dataset, place)):
        count = count_failure(lake, place.source, place.date, name_of(asset, place), str(error))
    if count < config.etl.max_tries:
        return Failed(place, asset, error)
    if not isinstance(error, SegmentError):
        return Failed(place, asset, error, is_set_aside=True)
    withdraw(lake, place.source, error.segment, str(error))
    forget_all(lake, place.source, place.date)
    archive.look_again()
    said = f"{error.message}; its segment went to quarantine after {count} tries"
    return Failed(place, asset, DataError(said, "restore it from a copy and move it into raw/ready with its manifest"))


def is_complete(lake: Lake, source: str, date: str) -> bool:
    """Whether nothing more is to come for a date."""
    watermark = Archive(lake, source).watermark_us()
    return watermark is not None and watermark >= Place(source, Instrument("x", "x"), date).end_us
