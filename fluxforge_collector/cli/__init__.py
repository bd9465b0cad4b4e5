"""The `fluxforge` command: finds its commands by entry point, so that each process imports only what it runs."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from importlib.metadata import entry_points

import click

from fluxforge_collector import __version__
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.exchanges.lazy_ccxt import import_exchanges_lazily

GROUP = "fluxforge.commands"
_AS_ANOTHER = "as with `sudo -u fluxforge`"
SUMMARIES = {
    "backfill": "Compute stale partitions again, in bounded runs.",
    "collect": "Collect from exchanges into bronze segments, around the clock.",
    "compact": "Merge the many files of closed days into few.",
    "compute": "Compute silver, bars or labels from your own files.",
    "config": "Check the configuration, or write its schema.",
    "convert": "Turn legacy NDJSON segments into Parquet ones.",
    "coverage": "Show what of each day is here, proven complete or not.",
    "demo": "Run everything, offline: exchange, collector, Dagster, bars.",
    "exchange": "Run the simulated exchange.",
    "features": "Show the feature catalogue.",
    "health": "Say what is well and what is not, since when; exit code 0, 1 or 2.",
    "plot": "Plot mid, bars, features or depth.",
    "prune": "Delete processed partitions of removed instruments or dates.",
    "query": "Read a dataset: table, CSV, JSON, Parquet or SQL.",
    "replay": "Serve recorded frames to a real client, and compare what it makes of them.",
    "repair": "Find what is wrong in a lake, and mend it.",
    "retention": "Show, or delete, what the retention rules name.",
    "sync": "Bring a lake's closed files into a bucket, or out of it.",
}


class Commands(click.Group):
    """A group that imports a command only when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the installed commands."""
        del ctx
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None where there is none."""
        del ctx
        for entry in entry_points(group=GROUP, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command the arguments name, or an error that names the nearest one."""
        if args and args[0] not in self.list_commands(ctx):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f"did you mean `fluxforge {near[0]}`?" if near else "see `fluxforge --help`"
            raise FluxForgeError(f"there is no command {args[0]!r}", hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fluxforge")
def root() -> None:
    """FluxForge: market data for crypto quants. Exit codes: 0 done, 1 not all well, 2 not possible, 130 interrupted."""


def not_permitted(error: PermissionError) -> str:
    """What the system does not let this user do; libraries name the file in their text, if at all."""
    if error.filename:
        return f"{error.filename} is closed to this user — run this as the user whose it is, {_AS_ANOTHER}"
    return f"this user may not: {error.strerror or error} — run this as one who may, {_AS_ANOTHER}"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a FluxForgeError becomes one line and exit code 2."""
    import_exchanges_lazily()
    try:
        code = root.main(args=arguments, standalone_mode=False)
    except FluxForgeError as error:
        click.echo(f"fluxforge: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # a reader such as `head` has gone: nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if (said := _said(error)) is None:
            raise
        click.echo(f"fluxforge: {said}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fluxforge_"):
            raise
        remedy = "install what it needs with `pip install '.[assets]'` in the checkout"
        click.echo(f"fluxforge: {error.name} is not installed — {remedy}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    if isinstance(code, int):
        # without standalone mode, click hands back the code of `ctx.exit`
        sys.exit(code)


def _said(error: OSError) -> str | None:
    """What the system, or the store of a bucket, refused, in a line; None for what nobody foresaw."""
    from fluxforge_collector.storage.bucket import refusal

    if refused := refusal(error):
        return str(refused)
    if isinstance(error, PermissionError):
        return not_permitted(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:  # of a write, which names no file
        return f"{error.strerror} — make space, and run this again"
    if error.filename is None:
        return None
    return f"{error.filename}: {error.strerror} — check the path, and the disk it is on"
