"""`fluxforge health`: what is well and what is not, since when, as text or JSON and as an exit code."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fluxforge_collector.health.finding import Finding, Level, worst

if TYPE_CHECKING:
    from fluxforge_collector.config.model import Config
    from fluxforge_collector.health.finding import Check

GROUP = "fluxforge.health"
_COLOURS = {Level.HEALTHY: "green", Level.DEGRADED: "yellow", Level.DOWN: "red"}


@click.command("health")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The file; default ./fluxforge.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, file: Path | None, *, as_json: bool) -> None:
    """Judge the collector, its streams, the lake and, where installed, Dagster and what it computes.

    It reads files only, so it works when everything is down. Exit code 0: healthy. 1: degraded, nothing is lost but
    somebody should look. 2: down, what should be collected now is not; also where the configuration cannot be read.
    """
    from fluxforge_collector.config.load import load_config

    now_us = time.time_ns() // 1000
    findings = judge(load_config(file), now_us)
    click.echo(as_json_text(findings, now_us) if as_json else as_text(findings))
    ctx.exit(worst(findings))


def judge(config: Config, now_us: int) -> list[Finding]:
    """The findings of every check that is installed, the worst first."""
    findings: list[Finding] = []
    for entry in sorted(entry_points(group=GROUP)):
        try:
            check: Check = entry.load()
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("fluxforge_"):
                raise
            continue
        findings += check(config, now_us)
    return sorted(findings, key=lambda finding: -finding.level)


def as_json_text(findings: list[Finding], now_us: int) -> str:
    """The findings for a script."""
    status = worst(findings).name.lower()
    return json.dumps({"status": status, "at_us": now_us, "findings": [finding.to_dict() for finding in findings]})


def as_text(findings: list[Finding]) -> str:
    """The findings for people: a line each, and the whole in one word at the end."""
    width = max((len(finding.what) for finding in findings), default=0)
    lines = [
        f"{_mark(finding.level)}  {finding.what:<{width}}  {finding.text}{_since(finding)}" for finding in findings
    ]
    return "\n".join([*lines, _mark(worst(findings))])


def _mark(level: Level) -> str:
    return click.style(f"{level.name.lower():<8}", fg=_COLOURS[level])


def _since(finding: Finding) -> str:
    """Since when, where something is not well."""
    if finding.level is Level.HEALTHY or finding.since_us is None:
        return ""
    return f", since {datetime.fromtimestamp(finding.since_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
