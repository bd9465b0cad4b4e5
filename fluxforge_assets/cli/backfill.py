"""`fluxforge backfill`: compute again what is stale, or all that is asked for, as Dagster backfills of bounded runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fluxforge_assets.cli.selection import (
    Selection,
    check_assets,
    known_instruments,
    landed_instruments,
    open_instance,
    select,
)
from fluxforge_assets.lake.named import instrument_key
from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    import dagster as dg

    from fluxforge_assets.lake.backfill import Batch
    from fluxforge_assets.lake.datasets import Dataset
    from fluxforge_assets.lake.paths import Lake
    from fluxforge_collector.config.model import Config

DEFAULT_URL = "http://127.0.0.1:3000"
SHOWN = 20


@click.command()
@click.option("--stale", "is_stale", is_flag=True, help="partitions computed under another configuration")
@click.option("--all", "is_all", is_flag=True, help="all partitions that were collected, whatever they hold")
@click.option("--asset", "assets", multiple=True, help="silver/orderbook, gold/bars …; all without it; repeatable")
@click.option("--from", "first", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", help="last UTC date")
@click.option("--instrument", "instruments", multiple=True, help="such as binanceus:BTC-USDT; repeatable")
@click.option("--launch", is_flag=True, help="launch it; without this, only say what would run")
@click.option("--run-size", type=click.IntRange(min=1), default=31, show_default=True, help="partitions a run at most")
@click.option("--url", help=f"Dagster's webserver; without it $DAGSTER_HOME's daemon, or {DEFAULT_URL}")
@click.option("--json", "as_json", is_flag=True, help="print the plan as JSON")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    is_stale: bool,
    is_all: bool,
    assets: Sequence[str],
    first: str | None,
    last: str | None,
    instruments: Sequence[str],
    launch: bool,
    run_size: int,
    url: str | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Compute silver and gold again, old data staying readable until the new replaces it."""
    from fluxforge_assets.lake.backfill import plan
    from fluxforge_assets.lake.paths import existing_lake

    if is_stale == is_all:
        raise FluxForgeError("say what to compute again", "give --stale or --all, and not both")
    config = load_config(config_file)
    lake = existing_lake(config)
    known = known_instruments(lake, config)
    if is_all and not known.issuperset(map(instrument_key, instruments)):
        known |= landed_instruments(lake)
    selection = select(first, last, instruments, known)
    instance = open_instance()
    datasets = check_assets(assets)
    wanted = _stale(instance, lake, config, datasets, selection) if is_stale else _collected(lake, datasets, selection)
    early = sorted({key for keys in wanted.values() for key in keys if key[:10] < config.etl.start_date})
    if early:
        raise FluxForgeError(
            f"{counted(len(early), 'partition')} before etl.start_date {config.etl.start_date}, first {early[0]}",
            "set an earlier etl.start_date, or --from",
        )
    batches = plan(wanted, run_size)
    launched = _launch(instance, config, batches, url) if launch and batches else []
    if as_json:
        click.echo(json.dumps(_as_json(instance, batches, launched), indent=1))
    else:
        _say(instance, batches, launched, is_stale=is_stale)


def _stale(
    instance: dg.DagsterInstance | None, lake: Lake, config: Config, datasets: list[Dataset], selection: Selection
) -> dict[str, set[str]]:
    """Stale keys of the assets, and of those they are made from: a bar cannot hold what silver lacks."""
    from fluxforge_assets.defs.processed import upstream_of
    from fluxforge_assets.defs.staleness import stale_partitions

    above = {upstream for dataset in datasets for upstream in upstream_of(dataset)}
    found = {
        dataset: {
            f"{place.date}|{place.instrument.key}"
            for place in stale_partitions(instance, lake, config, dataset, selection.has).stale
        }
        for dataset in check_assets(())
        if dataset in datasets or dataset in above
    }
    chosen = set().union(*(found[dataset] for dataset in datasets))
    return {dataset.asset: keys if dataset in datasets else keys & chosen for dataset, keys in found.items()}


def _collected(lake: Lake, datasets: list[Dataset], selection: Selection) -> dict[str, set[str]]:
    """Keys of all that was collected, for every asset."""
    from fluxforge_assets.lake.archive import Archive
    from fluxforge_assets.lake.update import places_of

    keys = {
        f"{place.date}|{place.instrument.key}"
        for source in lake.sources()
        for date in Archive(lake, source).dates()
        if selection.has_date(date)
        for place in places_of(lake, source, date)
        if selection.has(place)
    }
    return {dataset.asset: set(keys) for dataset in datasets}


def _launch(instance: dg.DagsterInstance | None, config: Config, batches: list[Batch], url: str | None) -> list[str]:
    """Launch every batch; the backfills' ids. Raises: FluxForgeError where there is nobody to take them."""
    from fluxforge_assets.defs.launching import Webserver, is_daemon_running, queue

    if instance is None or url is not None:
        webserver = Webserver(url or DEFAULT_URL)
        webserver.check_configuration(config, sorted({asset for batch in batches for asset in batch.assets}))
        return [webserver.launch(batch) for batch in batches]
    from fluxforge_assets.definitions import build

    graph = build(config).resolve_asset_graph()
    launched = [queue(instance, graph, batch, time.time()) for batch in batches]
    if not is_daemon_running(instance):
        click.echo(
            "no Dagster daemon is running: it will start when one is (`dagster dev -w workspace.yaml`)", err=True
        )
    return launched


def _estimate(instance: dg.DagsterInstance | None, batches: list[Batch]) -> float | None:
    from fluxforge_assets.defs.launching import elapsed_seconds
    from fluxforge_assets.lake.backfill import estimate_seconds

    assets = {asset for batch in batches for asset in batch.assets}
    past: Mapping[str, list[float]] = {a: elapsed_seconds(instance, a) for a in assets} if instance else {}
    return estimate_seconds(batches, past)


def _as_json(instance: dg.DagsterInstance | None, batches: list[Batch], launched: list[str]) -> dict[str, Any]:
    return {
        "partitions": sum(batch.partitions for batch in batches),
        "runs": sum(batch.runs for batch in batches),
        "estimate_seconds": _estimate(instance, batches),
        "launched": launched,
        "batches": [{"assets": batch.assets, "partitions": batch.keys} for batch in batches],
    }


def _say(instance: dg.DagsterInstance | None, batches: list[Batch], launched: list[str], *, is_stale: bool) -> None:
    """Tell what would run, or what was launched."""
    from fluxforge_assets.defs.launching import title_of

    if not batches:
        click.echo(
            "nothing to compute again" if is_stale else "nothing of this was collected: see `fluxforge coverage`"
        )
        return
    for batch in batches[:SHOWN]:
        click.echo(
            f"{counted(batch.partitions, 'partition'):>18} in about {counted(batch.runs, 'run'):>8}  {title_of(batch)}"
        )
    if len(batches) > SHOWN:
        click.echo(f"        … and {counted(len(batches) - SHOWN, 'more backfill')}")
    total, runs = sum(b.partitions for b in batches), sum(b.runs for b in batches)
    seconds = _estimate(instance, batches)
    guess = "no run to estimate from" if seconds is None else f"about {_length(seconds)}, judging by past runs"
    click.echo(f"{counted(total, 'partition'):>18} in about {counted(runs, 'run'):>8}: {guess}")
    if launched:
        click.echo(f"launched {counted(len(launched), 'backfill')}: {', '.join(launched[:5])}")
    else:
        click.echo("nothing was started: add --launch")


def _length(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
