"""`fluxforge coverage`: how much of each instrument's days is here, proven or not, as a table or a calendar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from fluxforge_assets.cli.paths import OnDisk
from fluxforge_assets.cli.selection import Selection, select
from fluxforge_assets.lake.named import check_instruments
from fluxforge_collector.cli.sizes import counted
from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError, StorageError

if TYPE_CHECKING:
    from fluxforge_assets.lake.coverage import Coverage
    from fluxforge_assets.lake.paths import Lake
    from fluxforge_assets.plots import Format

CHANNELS = ("orderbook", "trades", "ticker")
FORMATS = ("png", "svg", "html")


@click.command()
@click.option("--from", "first", help="first UTC date, such as 2026-11-01")
@click.option("--to", "last", help="last UTC date")
@click.option("--exchange", help="ccxt's id, such as binanceus")
@click.option("--symbol", help="BTC/USDT or BTC-USDT")
@click.option("--instrument", "instruments", multiple=True, help="such as binanceus:BTC-USDT; repeatable")
@click.option("--channel", type=click.Choice(CHANNELS), default="orderbook", show_default=True)
@click.option("--calendar", type=OnDisk(path_type=Path, dir_okay=False), help="draw it: .png, .svg or .html")
@click.option("--json", "as_json", is_flag=True, help="print it as JSON")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake")
def command(
    *,
    first: str | None,
    last: str | None,
    exchange: str | None,
    symbol: str | None,
    instruments: Sequence[str],
    channel: str,
    calendar: Path | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Show what of each instrument's days was collected, and what is missing and why.

    Proven: every update carried a sequence that was checked. Unproven: nothing is known to be missing, but the exchange
    gives no means to tell. Gap: known to be missing, in full or in part.
    """
    from fluxforge_assets.lake.paths import open_lake

    if calendar and calendar.suffix.removeprefix(".") not in FORMATS:
        raise FluxForgeError(f"{calendar} is no picture's name", f"end it in .{', .'.join(FORMATS)}")
    lake = open_lake(load_config(config_file))
    selection = select(first, last, (), ())
    rows = _rows(lake, selection, channel)
    known = {row.place.instrument for row in rows}
    wanted = _wanted(known, exchange, symbol, instruments)
    rows = [row for row in rows if row.place.instrument.key in wanted]
    if calendar:
        _draw(rows, channel, calendar)
    if as_json:
        click.echo(json.dumps([_as_json(row) for row in rows], indent=1))
    else:
        _say(rows)


def _rows(lake: Lake, selection: Selection, channel: str) -> list[Coverage]:
    """Every instrument-day, by instrument. Raises: FluxForgeError where nothing was collected."""
    from fluxforge_assets.lake.archive import Archive
    from fluxforge_assets.lake.coverage import coverages
    from fluxforge_collector.records import Channel

    archives = [Archive(lake, source) for source in lake.sources()]
    days = [(archive, day) for archive in archives for day in archive.dates() if selection.has_date(day)]
    found = [row for archive, day in days for row in coverages(archive, day, Channel(channel))]
    if not found:
        raise FluxForgeError("nothing has landed in the lake on these dates", "check --from and --to, and lake.root")
    return sorted(found, key=lambda row: (row.place.instrument.key, row.place.date, row.place.source))


def _wanted(known: set[Any], exchange: str | None, symbol: str | None, instruments: Sequence[str]) -> set[str]:
    """Keys of the instruments the options name. Raises: FluxForgeError with the nearest for an unknown one."""
    keys = {instrument.key for instrument in known}
    if instruments:
        keys = set(check_instruments(instruments, keys))
    chosen = {
        i.key
        for i in known
        if i.key in keys and exchange in {None, i.exchange} and symbol in {None, i.symbol, i.safe_symbol}
    }
    if not chosen:
        asked = ":".join(name for name in (exchange, symbol) if name)
        check_instruments([asked], keys)
    return chosen


def _say(rows: list[Coverage]) -> None:
    """A line per instrument-day, and one for all."""
    width = max(len(row.place.instrument.key) for row in rows)
    click.echo(f"{'instrument':{width}}  date        here      gaps s  not collected s  proven  why")
    for row in rows:
        why = ", ".join(f"{reason} {seconds:.3f}" for reason, seconds in row.by_reason.items())
        click.echo(
            f"{row.place.instrument.key:{width}}  {row.place.date}  {percent(row.share)}  {row.gap:10.3f}"
            f"  {row.missing:15.0f}  {'yes' if row.is_proven else 'no':6}  {why}".rstrip()
        )
    total = sum(row.seconds for row in rows)
    proven = sum(row.covered for row in rows if row.is_proven)
    here = sum(row.covered for row in rows)
    click.echo(
        f"{counted(len(rows), 'instrument-day')}: {percent(proven / total).strip()} proven complete,"
        f" {percent((here - proven) / total).strip()} here but unproven,"
        f" {sum(row.gap for row in rows):,.3f} s in gaps"
    )


def percent(share: float) -> str:
    """A share in percent; what is not all never reads as 100."""
    text = f"{100 * share:7.3f}"
    return " 99.999%" if share < 1 and text.strip() == "100.000" else f"{text}%"


def _as_json(row: Coverage) -> dict[str, Any]:
    return {
        "instrument": row.place.instrument.key,
        "source": row.place.source,
        "date": row.place.date,
        "channel": row.channel.value,
        "seconds": row.seconds,
        "covered_seconds": row.covered,
        "gap_seconds": row.gap,
        "gap_seconds_by_reason": dict(row.by_reason),
        "not_collected_seconds": row.missing,
        "is_proven": row.is_proven,
    }


def _draw(rows: list[Coverage], channel: str, out: Path) -> None:
    """Write the calendar. Raises: StorageError where the file cannot be written."""
    from fluxforge_assets.plots import render
    from fluxforge_assets.plots.calendar import Cell, calendar_figure

    cells = {}
    for row in rows:
        share = row.share
        gap = row.gap / row.seconds if row.seconds else 0.0
        cell = Cell(share, 0, gap) if row.is_proven else Cell(0, share, gap)
        cells[row.place.instrument.key, row.place.date] = cell
    figure = calendar_figure(cells, _every_date(rows), title=f"Completeness of {channel}")
    data = render(figure, cast("Format", out.suffix.removeprefix(".")), title=f"FluxForge: completeness of {channel}")
    try:
        out.write_bytes(data)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}", "name a writable file") from None


def _every_date(rows: list[Coverage]) -> list[str]:
    """The dates from the first to the last, days without anything included."""
    days = sorted(row.place.date for row in rows)
    start, end = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    return [(start + timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]
