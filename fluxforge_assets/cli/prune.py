"""`fluxforge prune`: delete processed partitions of instruments or dates that are no longer wanted. Never raw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_assets.cli.selection import check_assets, known_instruments, open_instance, select
from fluxforge_collector.cli.sizes import counted, readable
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    from fluxforge_assets.lake.datasets import Dataset
    from fluxforge_assets.lake.paths import Lake, Place
    from fluxforge_collector.config.model import Config

SHOWN = 20


@click.command()
@click.option("--removed", is_flag=True, help="every instrument that the configuration does not name any more")
@click.option("--instrument", "instruments", multiple=True, help="such as binanceus:BTC-USDT; repeatable")
@click.option("--from", "first", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", help="last UTC date")
@click.option("--asset", "assets", multiple=True, help="silver/orderbook, gold/bars …; all without it; repeatable")
@click.option("--apply", "is_applied", is_flag=True, help="delete; without this, only say what would be deleted")
@click.option("--json", "as_json", is_flag=True, help="print it as JSON")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    removed: bool,
    instruments: Sequence[str],
    first: str | None,
    last: str | None,
    assets: Sequence[str],
    is_applied: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Delete silver and gold partitions; raw data stays, so that they can be computed again.

    An instrument pruned whole, over all dates and assets, is also taken off Dagster's list of partitions.
    """
    from fluxforge_assets.lake.paths import existing_lake
    from fluxforge_assets.lake.places import stored_places
    from fluxforge_assets.lake.pruning import prune, size_of

    if not (removed or instruments or first or last):
        raise FluxForgeError("say what to delete", "give --removed, --instrument, or dates with --from and --to")
    config = load_config(config_file)
    lake = existing_lake(config)
    known = known_instruments(lake, config)
    names = [*instruments, *(_removed(lake, config) if removed else ())]
    if removed and not names:
        click.echo(json.dumps({"partitions": 0}) if as_json else "every instrument is in the configuration")
        return
    selection = select(first, last, names, known)
    doomed: list[tuple[Dataset, Place]] = [
        (dataset, place)
        for dataset in check_assets(assets)
        for place in stored_places(lake, dataset)
        if selection.has(place)
    ]
    size = sum(size_of(lake.partition(place, dataset.folder)) for dataset, place in doomed)
    is_whole = bool(names) and not (first or last or assets)
    for dataset, place in doomed if is_applied else ():
        prune(lake, dataset, place)
    forgotten = _forget(selection.instruments or frozenset(), is_applied=is_applied) if is_whole else []
    if as_json:
        partitions = [f"{dataset.asset} {place.date}|{place.instrument.key}" for dataset, place in doomed]
        click.echo(json.dumps({"applied": is_applied, "bytes": size, "partitions": partitions, "keys": forgotten}))
        return
    for dataset, place in doomed[:SHOWN]:
        click.echo(f"{dataset.asset:18} {place.date} {place.instrument.key}")
    if len(doomed) > SHOWN:
        click.echo(f"… and {len(doomed) - SHOWN:,} more")
    for key in forgotten:
        click.echo(f"Dagster's partition key {key}")
    verb = "deleted" if is_applied else "would delete"
    click.echo(f"{verb} {counted(len(doomed), 'partition')}, {readable(size)}; raw data stays")
    if not is_applied:
        click.echo("nothing was deleted: add --apply")


def _removed(lake: Lake, config: Config) -> list[str]:
    """Instruments that have partitions and are in no channel of the configuration."""
    if not any(config.asked()):
        raise FluxForgeError("the configuration names no exchange at all", "name the right file with --config")
    return sorted(known_instruments(lake, None) - known_instruments(None, config))


def _forget(keys: frozenset[str], *, is_applied: bool) -> list[str]:
    """Take instruments off Dagster's list; those that are, or would be."""
    from fluxforge_assets.defs.partitions import INSTRUMENTS

    instance = open_instance()
    if instance is None:
        return []
    listed = sorted(keys & set(instance.get_dynamic_partitions(INSTRUMENTS)))
    for key in listed if is_applied else ():
        instance.delete_dynamic_partition(INSTRUMENTS, key)
    return listed
