"""The columns of silver: which the options create and store, in order, and the catalogue page made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from fluxforge_assets.features import ages, bands, depth, impact, prices, shape
from fluxforge_assets.features.fingerprint import fingerprint
from fluxforge_assets.features.quality import KEY
from fluxforge_assets.features.registry import AGE, STATIC, by_family
from fluxforge_assets.features.rolling import rolling_columns
from fluxforge_assets.features.statistics import statistics
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions

FAMILY_FILES = (prices, depth, bands, shape, impact, ages)
"""The files that declare features of single rows; importing them fills the registries."""

__all__ = ["all_columns", "catalogue_markdown", "fingerprint", "silver_columns"]

_NAMES_SHOWN = 4
_ALWAYS_STORED = frozenset({"key", "G", "H", "I"})


@cache
def all_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """Every column these options create, whatever families they store, in catalogue order."""
    stored = statistics(options)
    return (
        *KEY,
        *(c for c in stored if c.family == "key"),
        *(c for declared in by_family(STATIC) for c in declared.columns(options)),
        *(c for c in stored if c.family != "key"),
        *(c for declared in AGE for c in declared.columns(options)),
        *rolling_columns(options),
    )


def silver_columns(options: FeatureOptions) -> tuple[Column, ...]:
    """The columns of silver under `options.families`, in order.

    A list of families also stores the statistics every window merges (key, G, H, I) and the static columns that
    windows and bars read, so that a family not stored can still be computed from what is.
    """
    columns = all_columns(options)
    if options.families == "all":
        return columns
    if options.families == "core":
        return tuple(c for c in columns if c.core)
    merged = {"mid", "spread_bps", "microprice", "imb_l0", f"imb_top{min(5, options.max_levels)}"}
    families = _ALWAYS_STORED.union(options.families)
    return tuple(c for c in columns if c.family in families or c.name in merged)


FAMILY_TITLES = {
    "key": "Key and quality",
    "A": "Prices and sizes",
    "B": "Mid, spread, fair value",
    "C": "Depth and imbalance by level",
    "D": "Basis-point bands",
    "E": "Shape",
    "F": "Distance-weighted pressure and taking cost",
    "G": "Event moments",
    "H": "Pair flows",
    "I": "Trade flows",
    "R": "Ages, latency, seasonality",
    "J": "Activity and coverage",
    "K": "Returns",
    "L": "Volatility, jumps, autocorrelation",
    "M": "Order flow imbalance",
    "N": "Book flow",
    "O": "Spread, regime, state averages, resiliency",
    "P": "Trade flow and liquidity",
    "Q": "Rolling only",
}
"""What each family is about, in catalogue order."""


def catalogue_markdown(options: FeatureOptions | None = None) -> str:
    """The reference page of every silver column, one line a definition, with the names it has under `options`."""
    options = options or FeatureOptions()
    columns = all_columns(options)
    lines = [
        "# Silver columns",
        "",
        (
            f"Written by `make docs` from the declarations: {len(columns)} columns at the defaults. *Core* marks what"
            " `families: core` stores. Null where the column says so; nothing is ever NaN or infinite."
        ),
    ]
    for family, title in FAMILY_TITLES.items():
        own = [column for column in columns if column.family == family]
        lines += ["", f"## {family}: {title} ({len(own)})" if family != "key" else f"## {title} ({len(own)})", ""]
        lines += ["| columns | meaning | formula | unit | null | core | source |", "|---|---|---|---|---|---|---|"]
        lines += [_line(same) for same in _definitions(own)]
    return "\n".join(lines) + "\n"


def _definitions(columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Columns of one definition together: those that differ in name only."""
    together: dict[tuple[object, ...], list[Column]] = {}
    for column in columns:
        together.setdefault((column.description, column.formula, column.unit, column.null, column.core), []).append(
            column
        )
    yield from together.values()


def _line(same: Sequence[Column]) -> str:
    """One line of the page."""
    first = same[0]
    names = [f"`{column.name}`" for column in same]
    shown = ", ".join(names) if len(names) <= _NAMES_SHOWN else f"{names[0]} … {names[-1]} ({len(names)})"
    cells = (shown, first.description, first.formula, first.unit, first.null, "yes" if first.core else "", first.source)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
