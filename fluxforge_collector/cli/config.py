"""`fluxforge config`: check a configuration and show where each value came from, or write its schema."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import click

from fluxforge_collector.config.explain import settings
from fluxforge_collector.config.load import load_with_origins
from fluxforge_collector.config.model import Config


@click.group("config")
def command() -> None:
    """Check the configuration, or write its schema."""


@command.command()
@click.option("--config", "file", type=click.Path(path_type=Path), help="The file; default ./fluxforge.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(file: Path | None, as_json: bool) -> None:
    """Print every effective value, where it came from, and what the feature options create."""
    loaded = load_with_origins(file)
    _check_exchanges(loaded.config)
    rows = list(settings(loaded))
    created = _columns_created(loaded.config)
    if as_json:
        click.echo(json.dumps({"settings": {r.key: [r.value, r.origin] for r in rows}, "columns": created}))
        return
    width = max(len(r.key) for r in rows)
    for row in rows:
        click.echo(f"{row.key:<{width}}  {json.dumps(row.value):<28}  {row.origin}")
    for option, columns in created.items():
        shown = ", ".join(columns[:4]) + (f", … {len(columns)} columns" if len(columns) > 4 else "")
        click.echo(f"{option} → {shown or 'no stored column'}")
    click.echo(f"ok: {loaded.file or 'built-in defaults'}")


@command.command()
@click.option("--out", type=click.Path(path_type=Path), help="A file to write; default standard output.")
def schema(out: Path | None) -> None:
    """Write the JSON schema of the configuration, for editors."""
    text = json.dumps(Config.model_json_schema(), indent=2) + "\n"
    if out:
        out.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)


def _check_exchanges(config: Config) -> None:
    """Raises: ConfigError where ccxt does not know an exchange; only it has the list."""
    if config.exchanges:
        from fluxforge_collector.exchanges.ccxt_exchange import check_known

        for exchange in config.exchanges:
            check_known(exchange)


def _columns_created(config: Config) -> dict[str, list[str]]:
    """Dotted feature option → silver columns that exist because of it; empty where the assets are not installed."""
    options = config.etl.channels.orderbook.processor_options
    created: dict[str, list[str]] = {}
    for entry in entry_points(group="fluxforge.columns"):
        try:
            trace = entry.load()
        except ModuleNotFoundError:
            continue
        created |= {f"etl.channels.orderbook.processor_options.{k}": v for k, v in trace(options).items()}
    return created
