"""`fluxforge repair`: find what is wrong in a lake; with `--apply`, mend it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from fluxforge_assets.cli.selection import select
from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.config.load import load_config


@click.command()
@click.option("--apply", "is_applied", is_flag=True, help="mend; without it nothing is changed")
@click.option("--from", "first", metavar="DATE", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", metavar="DATE", help="last UTC date")
@click.option("--json", "is_json", is_flag=True, help="one JSON object a line")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(*, is_applied: bool, first: str | None, last: str | None, is_json: bool, config: Path | None) -> None:
    """Show what is wrong in the lake and what would mend it, or mend it.

    Claims nobody finished, files in the wrong place, segments without their manifest, parts that overlap, parts whose
    columns name another partition, replacements that were broken off. Nothing is destroyed: what must go is moved to
    .work/aside. Exit code 1 while something is wrong.
    """
    from fluxforge_assets.lake.paths import existing_lake
    from fluxforge_assets.lake.repair import Dates, faults, mend

    dates = select(first, last, (), ())
    loaded = load_config(config)
    lake = existing_lake(loaded)
    found = mended = 0
    for fault in list(faults(lake, loaded, Dates(dates.first, dates.last))):
        found += 1
        why = mend(fault) if is_applied else None
        is_mended = is_applied and why is None
        mended += is_mended
        where = str(fault.path).removeprefix(f"{lake.root}/")
        said = {"kind": fault.kind, "path": where, "problem": fault.problem, "remedy": fault.remedy}
        if is_json:
            click.echo(json.dumps(said | {"mended": is_mended, "why_not": why}))
        else:
            outcome = (
                "done" if is_mended else f"not done: {why}" if why else "would be done" if fault.mend else "by hand"
            )
            click.echo(f"{fault.kind:<12} {where}\n{'':<12} {fault.problem}: {fault.remedy} ({outcome})")
    if not is_json:
        hint = "" if is_applied or not found else "; nothing was changed: --apply mends"
        click.echo(f"{counted(found, 'fault')}, {mended} mended{hint}" if found else "nothing is wrong")
    if found > mended:
        sys.exit(1)
