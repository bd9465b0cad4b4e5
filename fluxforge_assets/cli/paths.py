"""Paths on the command line: in a bucket where a command reads them, else on a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fluxforge_collector.config.load import load_config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.storage.bucket import LakePath, open_path


def is_path(text: str) -> bool:
    """Whether a word is a path, there or not, and no name of the lake's, which has one slash."""
    return text.startswith(("s3:", ".", "/", "~")) or text.count("/") > 1 or Path(text).exists()


def path_of(text: str, config: Path | None) -> LakePath:
    """What a path names; a bucket is reached as the configuration says. Raises: ConfigError where it names none."""
    if not text.startswith("s3:"):
        return Path(text).expanduser()
    name, _, way = text.removeprefix("s3://").partition("/")
    bucket = open_path(f"s3://{name}", load_config(config).storage)
    return bucket / way.strip("/") if way.strip("/") else bucket


class OnDisk(click.Path):
    """A path that must be on a disk: of one in a bucket a folder of that name would be made, or looked for, here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises: FluxForgeError where it is in a bucket."""
        if str(value).startswith("s3:"):
            raise FluxForgeError(
                f"{value} is in a bucket, and this has to be on a disk",
                "read from a bucket with `fluxforge query`, and copy with `fluxforge sync`",
            )
        return super().convert(value, param, ctx)
