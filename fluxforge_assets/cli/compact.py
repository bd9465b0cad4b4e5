"""`fluxforge compact`: merge closed days into few files, now rather than with the daily run."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_collector.cli.sizes import counted, readable
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError

if TYPE_CHECKING:
    from fluxforge_assets.lake.compacted import Compacted
    from fluxforge_assets.lake.compaction import Due, NotCompacted
    from fluxforge_assets.lake.paths import Lake
    from fluxforge_assets.lake.places import Selection
    from fluxforge_collector.config.model import Compaction

CHANNELS = ("orderbook", "trades", "ticker", "gaps")
_PARTITION = "exchange=X/symbol=Y[/date=D]"


@click.command()
@click.option("--partition", metavar=_PARTITION, help="one instrument's silver and gold; date=D alone is a whole day")
@click.option("--channel", "channels", type=click.Choice(CHANNELS), multiple=True, help="only this; may be repeated")
@click.option("--from", "first", metavar="DATE", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", metavar="DATE", help="last UTC date")
@click.option("--dry-run", is_flag=True, help="only say what would be merged")
@click.option("--json", "is_json", is_flag=True, help="one JSON object a line")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    partition: str | None,
    channels: tuple[str, ...],
    first: str | None,
    last: str | None,
    dry_run: bool,
    is_json: bool,
    config: Path | None,
) -> None:
    """Merge the many files of closed days into few; rows stay the same, and readers notice nothing.

    The merged files are read back and compared before the old ones go. Exit code 1 where a place stays as it was.
    """
    from fluxforge_assets.lake.compaction import compact, last_closed_date, waiting
    from fluxforge_assets.lake.paths import existing_lake

    loaded = load_config(config)
    now_us = time.time_ns() // 1000
    chosen = selection(partition, channels, first, last)
    closed = last_closed_date(loaded.compaction, now_us)
    if chosen.first and chosen.first > closed:
        raise FluxForgeError(
            f"{chosen.first} is not closed yet: a day is compacted {loaded.compaction.min_age_hours:g} h after its end",
            f"name a date up to {closed}",
        )
    lake = existing_lake(loaded)
    _check_partition(lake, partition, chosen)
    if dry_run:
        _show_due(waiting(lake, loaded.compaction, chosen, now_us=now_us), is_json=is_json)
    else:
        _show_done(compact(lake, loaded.compaction, chosen, now_us=now_us), loaded.compaction, is_json=is_json)


def selection(partition: str | None, channels: Iterable[str], first: str | None, last: str | None) -> Selection:
    """What the options choose. Raises: FluxForgeError for what is no partition or no date."""
    from fluxforge_assets.lake.places import Selection

    named = _named(partition) if partition is not None else {}
    if "date" in named and (first or last):
        raise FluxForgeError("the partition names its date", "leave out --from and --to")
    start, end = named.get("date", first), named.get("date", last)
    for date in filter(None, (start, end)):
        _check_date(date)
    if start and end and start > end:
        raise FluxForgeError(f"{start} is after {end}", "exchange --from and --to")
    return Selection(named.get("exchange"), named.get("symbol"), start, end, frozenset(channels))


def _named(partition: str) -> dict[str, str]:
    """The values of `exchange=X/symbol=Y/date=D`; a symbol may be ccxt's. Raises: FluxForgeError."""
    from fluxforge_collector.instruments import check_exchange, from_path_safe, path_safe

    named: dict[str, str] = {}
    for piece in re.split(r"/(?=exchange=|symbol=|date=)", partition.strip("/")):
        name, equals, value = piece.partition("=")
        if name not in {"exchange", "symbol", "date"} or not equals or not value or name in named:
            raise FluxForgeError(f"{partition!r} is no partition", f"write it like {_PARTITION}")
        named[name] = value
    if "exchange" in named:
        check_exchange(named["exchange"])
    if "symbol" in named:
        symbol = named["symbol"]
        named["symbol"] = path_safe(symbol if "/" in symbol else from_path_safe(symbol))
    return named


def _check_date(date: str) -> None:
    from fluxforge_assets.lake.paths import day_start_us

    day_start_us(date)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
        raise FluxForgeError(f"{date!r} is no date", "write it like 2026-11-24")


def _check_partition(lake: Lake, partition: str | None, chosen: Selection) -> None:
    """Raises: FluxForgeError where nothing is stored under what was named."""
    from fluxforge_assets.lake.datasets import DATASETS
    from fluxforge_assets.lake.places import stored_places

    if not chosen.has_bronze and not any(True for d in DATASETS for _ in stored_places(lake, d, chosen)):
        raise FluxForgeError(f"nothing is stored under {partition}", "see `fluxforge query silver/orderbook`")


def _show_due(found: Iterable[Due | NotCompacted], *, is_json: bool) -> None:
    from fluxforge_assets.lake.compaction import NotCompacted

    files, size, failed = 0, 0, 0
    for one in found:
        if isinstance(one, NotCompacted):
            failed += 1
            _show_failed(one, is_json=is_json)
            continue
        files, size = files + one.files, size + one.size
        said = {"what": one.what, "partition": one.partition, "files": one.files, "bytes": one.size}
        click.echo(
            json.dumps(said)
            if is_json
            else f"{one.what:<18} {one.partition:<40} {counted(one.files, 'file'):>12} {readable(one.size):>10}"
        )
    if not is_json and files:
        click.echo(f"would merge {counted(files, 'file')}, {readable(size)}")
    elif not is_json and not failed:
        click.echo("nothing to do: every closed day is compact")
    if failed:
        sys.exit(1)


def _show_done(found: Iterable[Compacted | NotCompacted], options: Compaction, *, is_json: bool) -> None:
    from fluxforge_assets.lake.compaction import NotCompacted

    done: list[Compacted] = []
    failed = 0
    for one in found:
        if isinstance(one, NotCompacted):
            failed += 1
            _show_failed(one, is_json=is_json)
        else:
            done.append(one)
            click.echo(json.dumps(asdict(one)) if is_json else _line(one))
    if not is_json and done:
        click.echo(_sum(done))
    elif not is_json and not failed:
        click.echo(f"nothing to do: every closed day is compact (target {options.target_file_mb} MiB)")
    if failed:
        sys.exit(1)


def _line(one: Compacted) -> str:
    rows, files = counted(one.rows, "row"), counted(one.files_after, "file")
    return (
        f"{one.what:<18} {one.partition:<40} {one.files_before:>6} → {files}"
        f" {readable(one.bytes_before):>10} → {readable(one.bytes_after)}  {rows}  {one.seconds:.1f} s"
    )


def _sum(done: list[Compacted]) -> str:
    before, after = sum(one.files_before for one in done), sum(one.files_after for one in done)
    sizes = readable(sum(one.bytes_before for one in done)), readable(sum(one.bytes_after for one in done))
    return f"{counted(before, 'file')} became {after}, {sizes[0]} became {sizes[1]}"


def _show_failed(one: NotCompacted, *, is_json: bool) -> None:
    said = {"what": one.what, "partition": one.partition, "error": str(one.error)}
    click.echo(json.dumps(said) if is_json else f"{one.what} {one.partition}: {one.error}", err=not is_json)
