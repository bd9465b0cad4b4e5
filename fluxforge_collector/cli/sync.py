"""`fluxforge sync`: bring the closed files of a lake into a bucket, or out of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fluxforge_collector.cli.sizes import counted, readable
from fluxforge_collector.errors import ConfigError

if TYPE_CHECKING:
    from fluxforge_collector.config.model import Config
    from fluxforge_collector.transfer.plan import Plan
    from fluxforge_collector.transfer.sync import Synced

_OPTIONS = (
    click.option("--source-path", "source", help="a directory, or s3://bucket/prefix"),
    click.option("--dest-path", "destination", help="a directory, or s3://bucket/prefix"),
    click.option(
        "--include", multiple=True, metavar="PATTERN", help="only such keys, as the shell matches; repeatable"
    ),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="not such keys; repeatable"),
    click.option("--delete", "deletes", is_flag=True, help="delete parts there that the source has replaced"),
    click.option("--dry-run", "is_dry", is_flag=True, help="compare, and say what would be copied"),
    click.option("--json", "is_json", is_flag=True, help="print one JSON object"),
    click.option(
        "--config", "file", type=click.Path(path_type=Path), help="fluxforge.yaml with lake, storage and sync"
    ),
)


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group("sync")
def command() -> None:
    """Bring the closed files of a lake into a bucket, or out of it.

    Each file is compared by size and checksum, copied where it differs, and verified; manifests go last. It may be
    interrupted anywhere and run again. Nothing is deleted without --delete, and nothing raw even then.
    """


@command.command()
@_with_options
def upload(*, source: str | None, destination: str | None, file: Path | None, deletes: bool, **options: Any) -> None:
    """From the lake to sync.remote, or between the paths named."""
    config = _config(file)
    is_deleting = deletes or config.sync.delete
    _run(config, source or config.lake.root, destination or _remote(config), deletes=is_deleting, **options)


@command.command()
@_with_options
def download(*, source: str | None, destination: str | None, file: Path | None, **options: Any) -> None:
    """From sync.remote to the lake, or between the paths named. It deletes where --delete is given here, only then."""
    config = _config(file)
    _run(config, source or _remote(config), destination or config.lake.root, **options)


def _config(file: Path | None) -> Config:
    from fluxforge_collector.config.load import load_config

    return load_config(file)


def _remote(config: Config) -> str:
    if config.sync.remote is None:
        raise ConfigError("there is no other side to sync with", "set sync.remote, or name both paths")
    return config.sync.remote


def _run(
    config: Config,
    source: str,
    destination: str,
    *,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    deletes: bool,
    is_dry: bool,
    is_json: bool,
) -> None:
    from fluxforge_collector.storage.bucket import open_path, open_store
    from fluxforge_collector.transfer.plan import Filter
    from fluxforge_collector.transfer.sync import sync

    if source.rstrip("/") == destination.rstrip("/"):
        raise ConfigError(f"{source} is both source and destination", "name two places")
    if not open_path(source, config.storage).is_dir():
        what = "nothing below" if source.startswith("s3:") else "no directory"
        raise ConfigError(f"there is {what} {source}", "check --source-path")
    wanted = Filter(include or config.sync.include, exclude or config.sync.exclude)
    with _progress(is_shown=not is_json and sys.stderr.isatty()) as (on_start, on_done):
        done = sync(
            open_store(source, config.storage),
            open_store(destination, config.storage),
            wanted=wanted,
            workers=config.storage.workers,
            is_dry=is_dry,
            deletes=deletes,
            on_start=on_start,
            on_done=on_done,
        )
    click.echo(json.dumps(asdict(done)) if is_json else summary(done, is_dry=is_dry))
    if not done.is_complete:
        sys.exit(1)


def summary(done: Synced, *, is_dry: bool) -> str:
    """What was done, for people."""
    verb = "would copy" if is_dry else "copied"
    lines = [f"{verb} {counted(done.copied, 'file')}, {readable(done.copied_bytes)}; already there: {done.same:,}"]
    if done.deleted:
        lines.append(f"deleted {counted(done.deleted, 'part')} that the source has replaced")
    elif done.superseded:
        lines.append(
            f"not at the source, which has others of their partitions: {counted(done.superseded, 'part')};"
            " where it has replaced them, --delete removes them"
        )
    lines += [f"failed: {key}: {why}" for key, why in sorted(done.failed.items())]
    if done.failed:
        lines.append("run it again: it goes on where it was")
    return "\n".join(lines)


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[tuple[Callable[[Plan], None], Callable[[Any], None]]]:
    """A bar over bytes on a terminal; nothing elsewhere."""
    if not is_shown:
        yield (lambda _: None), (lambda _: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("listing", total=None)

        def on_start(todo: Plan) -> None:
            total = sum(entry.size for entry in (*todo.files, *todo.manifests))
            bar.update(task, description="comparing and copying", total=total)

        yield on_start, lambda entry: bar.advance(task, entry.size)
