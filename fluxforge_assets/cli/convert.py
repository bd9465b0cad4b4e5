"""`fluxforge convert`: legacy NDJSON segments become Parquet ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_assets.cli.selection import select
from fluxforge_collector.cli.sizes import counted, readable
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    from fluxforge_assets.lake.conversion import Converted, Legacy, NotConverted


@click.command()
@click.option("--source", help="only this source, such as ccxt")
@click.option("--from", "first", metavar="DATE", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", metavar="DATE", help="last UTC date")
@click.option("--dry-run", is_flag=True, help="only say what would be converted")
@click.option("--json", "is_json", is_flag=True, help="one JSON object a line")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *, source: str | None, first: str | None, last: str | None, dry_run: bool, is_json: bool, config: Path | None
) -> None:
    """Turn NDJSON segments, ready and archived, into Parquet ones with the same rows and the same ids.

    The copies are compared with the originals before those go. It may be interrupted at any moment and run again,
    beside a collector and Dagster. Exit code 1 where a segment stays as it was.
    """
    from fluxforge_assets.lake.conversion import convert, legacy_segments
    from fluxforge_assets.lake.paths import existing_lake

    dates = select(first, last, (), ())
    loaded = load_config(config)
    lake = existing_lake(loaded)
    sources = lake.sources()
    if source is not None and source not in sources:
        raise FluxForgeError(f"there is no source {source!r} in {lake.root}", f"known: {', '.join(sources) or 'none'}")
    segments = [
        one
        for each in ([source] if source else sources)
        for one in legacy_segments(lake, each)
        if dates.has_date(one.name.date)
    ]
    if not segments:
        if not is_json:
            click.echo("nothing to convert: every segment is Parquet")
    elif dry_run:
        _show_due(segments, is_json=is_json)
    else:
        _show_done(convert(lake, segments, loaded.ingestion), len(segments), is_json=is_json)


def _show_due(segments: list[Legacy], *, is_json: bool) -> None:
    for one in segments:
        said = {"source": one.source, "id": one.name.id, "files": len(one.files), "bytes": one.size}
        if is_json:
            click.echo(json.dumps(said))
        else:
            click.echo(f"{one.source:<10} {one.name.id:<60} {counted(len(one.files), 'file')} {readable(one.size):>10}")
    if not is_json:
        size = sum(one.size for one in segments)
        click.echo(f"would convert {counted(len(segments), 'segment')}, {readable(size)}; nothing was changed")


def _show_done(found: Iterable[Converted | NotConverted], count: int, *, is_json: bool) -> None:
    from fluxforge_assets.lake.conversion import NotConverted

    done: list[Converted] = []
    failed: list[NotConverted] = []
    with click.progressbar(found, length=count, label="converting", file=sys.stderr, hidden=is_json) as bar:
        for one in bar:
            if isinstance(one, NotConverted):
                failed.append(one)
                said = {"source": one.source, "id": one.id, "error": str(one.error)}
                click.echo(json.dumps(said) if is_json else f"{one.source} {one.id}: {one.error}", err=not is_json)
            else:
                done.append(one)
                if is_json:
                    click.echo(json.dumps(asdict(one)))
    if not is_json:
        before, after = (readable(sum(getattr(one, name) for one in done)) for name in ("bytes_before", "bytes_after"))
        rows = sum(one.rows for one in done)
        click.echo(f"{counted(len(done), 'segment')}, {counted(rows, 'row')}: {before} became {after}")
    if failed:
        sys.exit(1)
