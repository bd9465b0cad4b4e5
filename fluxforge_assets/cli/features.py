"""`fluxforge features`: the catalogue of every column, from the declarations beside the functions that compute them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    from fluxforge_assets.tables import Column
    from fluxforge_collector.config.features import FeatureOptions

NAMES_SHOWN = 4
LOOK_AHEAD = "Every `fwd_` column looks ahead: never join it into a feature matrix as an input."


class Entry(NamedTuple):
    """A column and the table it stands in."""

    table: str
    column: Column
    is_stored: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"table": self.table, **asdict(self.column), "stored": self.is_stored}


@click.command()
@click.argument("name", required=False)
@click.option("--family", help="letter A to R, or key")
@click.option("--table", help="silver, bars, labels, vpin, cross_venue or ofi_integrated")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml whose options name the columns")
@click.option("--json", "as_json", is_flag=True, help="all fields, as JSON")
@click.option("--markdown", is_flag=True, help="the reference page, for the default options")
def command(
    *, name: str | None, family: str | None, table: str | None, config: Path | None, as_json: bool, markdown: bool
) -> None:
    """Show the catalogue of columns, or everything about the column NAME."""
    from fluxforge_collector.config.load import load_config

    if markdown:
        click.echo(page())
        return
    entries = catalogue(load_config(config).etl.channels.orderbook.processor_options)
    for what, wanted, known in (
        ("table", table, {e.table for e in entries}),
        ("family", family, {e.column.family for e in entries}),
    ):
        if wanted is not None and wanted not in known:
            raise FluxForgeError(f"there is no {what} {wanted!r}", f"known: {', '.join(sorted(known))}")
    chosen = [e for e in entries if table in {None, e.table} and family in {None, e.column.family}]
    if name is not None:
        chosen = _named(chosen, name)
    if as_json:
        click.echo(json.dumps([e.as_dict() for e in chosen], ensure_ascii=False, indent=2))
    elif name is not None:
        click.echo("\n\n".join(_detail(e) for e in chosen))
    else:
        click.echo("\n".join(_listing(chosen)))


def catalogue(options: FeatureOptions) -> list[Entry]:
    """Every column these options create, of silver and then gold; whether silver stores it under `families`."""
    from fluxforge_assets.bars import bar_columns
    from fluxforge_assets.features.catalogue import all_columns, silver_columns
    from fluxforge_assets.gold import cross_venue_columns, ofi_integrated_columns, vpin_columns
    from fluxforge_assets.labels import label_columns

    stored = {c.name for c in silver_columns(options)}
    gold = {
        "bars": bar_columns,
        "labels": label_columns,
        "vpin": vpin_columns,
        "cross_venue": cross_venue_columns,
        "ofi_integrated": ofi_integrated_columns,
    }
    return [
        *(Entry("silver", c, c.name in stored) for c in all_columns(options)),
        *(Entry(table, c, is_stored=True) for table, columns in gold.items() for c in columns(options)),
    ]


def _named(entries: list[Entry], name: str) -> list[Entry]:
    """The columns of a name, in every table. Raises: FluxForgeError naming the nearest ones."""
    found = [e for e in entries if e.column.name == name]
    if not found:
        near = difflib.get_close_matches(name, {e.column.name for e in entries}, n=3)
        near += [e.column.name for e in entries if name in e.column.name][: 3 - len(near)]
        hint = f"did you mean {', '.join(dict.fromkeys(near))}?" if near else "`fluxforge features` lists them"
        raise FluxForgeError(f"there is no column {name!r}", hint)
    return found


def _detail(entry: Entry) -> str:
    """Everything about a column, a field a line."""
    from fluxforge_assets.features.catalogue import FAMILY_TITLES

    fields = {
        "table": entry.table,
        "family": f"{entry.column.family} {FAMILY_TITLES.get(entry.column.family, '')}".strip(),
        "kind": entry.column.kind.value,
        "unit": entry.column.unit,
        "dtype": entry.column.dtype.value,
        "null": entry.column.null,
        "merge": entry.column.merge.value,
        "formula": entry.column.formula,
        "source": entry.column.source,
        "tier": "core" if entry.column.core else "extended",
        "stored": "yes" if entry.is_stored else "no, by the option families",
    }
    lines = [entry.column.name, f"  {entry.column.description}"]
    return "\n".join(lines + [f"  {key:8} {value}" for key, value in fields.items() if value])


def _listing(entries: list[Entry]) -> Iterator[str]:
    """A line per column, in columns."""
    rows = [(e.column.name, e.table, e.column.family, e.column.unit, e.column.description) for e in entries]
    rows.insert(0, ("name", "table", "family", "unit", "meaning"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]])


def page() -> str:
    """The reference page of the default options, columns that differ by level or window only in one line."""
    from fluxforge_assets.features.catalogue import FAMILY_TITLES
    from fluxforge_collector.config.features import FeatureOptions

    entries = catalogue(FeatureOptions(families="all"))
    total = sum(e.table == "silver" for e in entries)
    lines = [
        "# Features",
        "",
        "Written by `make docs` from the declarations beside the code, for the default options.",
        "`fluxforge features NAME` shows one column under your own.",
        f"Silver has {total} columns at most; `families` chooses which are stored.",
    ]
    for table, of_table in groupby(entries, key=lambda e: e.table):
        lines += ["", f"## {table}", ""]
        if table == "labels":
            lines += [LOOK_AHEAD, ""]
        if table == "silver":
            for family, of_family in groupby(of_table, key=lambda e: e.column.family):
                lines += [f"### {family if family != 'key' else ''} {FAMILY_TITLES[family]}".replace("  ", " "), ""]
                lines += [*_markdown(of_family), ""]
        else:
            lines += _markdown(of_table)
    return "\n".join(lines)


def _markdown(entries: Iterable[Entry]) -> Iterator[str]:
    """A table of columns."""
    yield "| columns | meaning | unit | type | null when | merge | core | formula | source |"
    yield "|---|---|---|---|---|---|---|---|---|"
    together: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        together.setdefault(_shared(entry.column), []).append(entry.column.name)
    for shared, names in together.items():
        shown = (
            ", ".join(f"`{n}`" for n in names)
            if len(names) <= NAMES_SHOWN
            else (f"`{names[0]}` … `{names[-1]}` ({len(names)})")
        )
        cells = [shown, *(text.replace("|", "\\|") for text in shared)]
        yield f"| {' | '.join(cells)} |"


def _shared(column: Column) -> tuple[str, ...]:
    """What columns of one definition have in common."""
    merge = "" if column.merge.value == "none" else column.merge.value
    core = "yes" if column.core else ""
    return column.description, column.unit, column.dtype.value, column.null, merge, core, column.formula, column.source
