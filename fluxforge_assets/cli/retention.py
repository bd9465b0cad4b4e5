"""`fluxforge retention`: what the retention rules name; with `--apply`, deleting it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_collector.cli.sizes import counted, readable
from fluxforge_collector.config.load import load_config

if TYPE_CHECKING:
    from fluxforge_assets.lake.retention import Expired, Kept


@click.command()
@click.option("--apply", "is_applied", is_flag=True, help="delete; without it nothing is changed")
@click.option("--json", "is_json", is_flag=True, help="one JSON object a line")
@click.option("--config", type=click.Path(path_type=Path), help="fluxforge.yaml that names the lake and the rules")
def command(*, is_applied: bool, is_json: bool, config: Path | None) -> None:
    """Show what the rules of `retention` would delete, or delete it.

    Rules: keep_raw_days, keep_silver_days, keep_gold_days, keep_frames_days; without one, everything is kept. Bronze
    goes only where its silver is stored; manifests and gap ledgers always stay.
    """
    from fluxforge_assets.lake.paths import existing_lake
    from fluxforge_assets.lake.retention import Expired, delete, expired
    from fluxforge_collector.config.model import Retention

    loaded = load_config(config)
    if not loaded.retention.has_rule:
        if not is_json:
            names = ", ".join(name for name in Retention.model_fields if name != "keep_run_days")
            click.echo(f"no rule is set: everything is kept (retention: {names})")
        return
    lake = existing_lake(loaded)
    places, files, size = 0, 0, 0
    for one in expired(lake, loaded.retention, now_us=time.time_ns() // 1000):
        click.echo(json.dumps(_said(one, is_applied=is_applied)) if is_json else _line(one))
        if isinstance(one, Expired):
            places, files, size = places + 1, files + one.files, size + one.size
            if is_applied:
                delete(lake, one)
    if not is_json:
        verb = "deleted" if is_applied else "would delete"
        hint = "" if is_applied or not places else "; nothing was changed: --apply deletes"
        click.echo(f"{verb} {counted(places, 'partition')}, {counted(files, 'file')}, {readable(size)}{hint}")


def _said(one: Expired | Kept, *, is_applied: bool) -> dict[str, object]:
    from fluxforge_assets.lake.retention import Expired

    said: dict[str, object] = {"what": one.what, "partition": one.partition, "rule": one.rule}
    if isinstance(one, Expired):
        return said | {"files": one.files, "bytes": one.size, "deleted": is_applied}
    return said | {"kept": one.reason}


def _line(one: Expired | Kept) -> str:
    from fluxforge_assets.lake.retention import Expired

    about = f"{counted(one.files, 'file')} {readable(one.size)}" if isinstance(one, Expired) else f"stays: {one.reason}"
    return f"{one.what:<18} {one.partition:<40} {one.rule:<24} {about}"
