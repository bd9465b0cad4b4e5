"""Bringing the gold tables up to date that real-time runs leave alone: those of every date whose silver has changed.

Only dates with a mark are looked at, and of those only partitions with new inputs are computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fluxforge_assets.lake.advance import advance
from fluxforge_assets.lake.cross_venue import GoldCrossVenue
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK
from fluxforge_assets.lake.from_silver import GoldRecipe, shifted
from fluxforge_assets.lake.labels import GoldLabels
from fluxforge_assets.lake.marks import GOLD, Mark, marks, settle_gold
from fluxforge_assets.lake.ofi_integrated import GoldOfiIntegrated
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.update import Failed
from fluxforge_assets.lake.vpin import GoldVpin
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.instruments import Instrument


def gold_recipes(lake: Lake, config: Config, source: str) -> list[GoldRecipe]:
    """The recipes of the tables that are enabled."""
    if not config.etl.channels.orderbook.enabled:
        return []
    gold = config.etl.gold
    made: list[tuple[bool, GoldRecipe]] = [
        (gold.labels.enabled, GoldLabels(lake, config, source)),
        (gold.vpin.enabled, GoldVpin(lake, config, source)),
        (gold.cross_venue.enabled, GoldCrossVenue(lake, config, source)),
        (gold.ofi_integrated.enabled, GoldOfiIntegrated(lake, config, source)),
    ]
    return [recipe for is_enabled, recipe in made if is_enabled]


def refresh(lake: Lake, config: Config, waiting: Iterable[Mark]) -> Iterator[Change | Failed]:
    """Advance every gold partition that reads the silver of a marked date, and tell what changed.

    A mark is settled where nothing that reads its date failed, unless its silver has changed again since.
    """
    taken = list(waiting)
    failed: set[str] = set()
    for source in lake.sources():
        for recipe in gold_recipes(lake, config, source):
            for date, readers in _dates(recipe, {known.date for known in taken}).items():
                for place in lake.places(source, SILVER_ORDERBOOK.folder, date):
                    outcome = _advanced(lake, recipe, place)
                    if isinstance(outcome, Failed):
                        failed |= readers
                    if outcome is not None:
                        yield outcome
    for known in taken:
        if known.date not in failed:
            settle_gold(lake, known)


def gold_marks(lake: Lake) -> list[Mark]:
    """The dates whose silver has changed since the last refresh."""
    return marks(lake, GOLD)


def _dates(recipe: GoldRecipe, changed: set[str]) -> dict[str, set[str]]:
    """The dates that read a changed one, oldest first, each with those it reads."""
    found: dict[str, set[str]] = {}
    for date in changed:
        for day in recipe.days():
            reader = shifted(Place("any", Instrument("any", "any"), date), -day).date
            found.setdefault(reader, set()).add(date)
    return dict(sorted(found.items()))


def _advanced(lake: Lake, recipe: GoldRecipe, place: Place) -> Change | Failed | None:
    """What became of a partition; None where no row of it is new, as for a volume bucket not yet full."""
    try:
        change = advance(lake, recipe, place)
    except FluxForgeError as error:
        return Failed(place, recipe.dataset.asset, error)
    return change if change and (change.rows or change.is_rebuilt) else None
