"""Checks of bronze: whether what was to be collected is here, and whether anything was put into quarantine.

They judge the newest dates as a whole. Each can be executed from the page; real-time runs evaluate them, and where none
is under way a sensor does so hourly, runless.
"""

import time
from typing import Any

import dagster as dg
from dagster import AssetCheckExecutionContext, AssetCheckResult

from fluxforge_assets.defs.bronze import bronze_key
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.defs.under_way import is_under_way
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.coverage import Coverage, coverages
from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.config.model import Config
from fluxforge_collector.records import Channel

COVERAGE, QUARANTINE = "coverage_enough", "nothing_quarantined"
JUDGED = (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER)
JUDGED_DATES = 2
SHOWN = 20
HOUR_SECONDS = 3600


def judge_coverage(lake: Lake, config: Config, channel: Channel) -> dict[str, Any]:
    """What the check says of a channel: the newest dates, instrument by instrument, against the thresholds."""
    limits = config.checks
    rows: list[Coverage] = []
    for source in lake.sources():
        archive = Archive(lake, source)
        rows += [row for date in archive.dates()[-JUDGED_DATES:] for row in coverages(archive, date, channel)]
    bad = [r for r in rows if r.share_of_collected < limits.min_coverage or r.gap > limits.max_gap_seconds]
    collected = sum(row.covered + row.gap for row in rows)
    worst = sorted(rows, key=lambda row: row.share_of_collected)[:SHOWN]
    lines = [
        f"| {r.place.date} | {r.place.instrument.key} | {100 * r.share_of_collected:.3f} % | {r.gap:.1f} |"
        f" {r.missing:.0f} | {'proven' if r.is_proven else 'unproven'} |"
        for r in worst
    ]
    head = ["| date | instrument | of collected time | gaps, s | not collected, s | |", "|---|---|---|---|---|---|"]
    return {
        "passed": not bad,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": {
            "instrument_days": len(rows),
            "below_threshold": len(bad),
            "coverage": sum(row.covered for row in rows) / collected if collected else 1.0,
            "gap_seconds": sum(row.gap for row in rows),
            "proven": sum(row.is_proven for row in rows),
            "worst": dg.MetadataValue.md("\n".join([*head, *lines])),
        },
    }


def judge_quarantine(lake: Lake) -> dict[str, Any]:
    """What the check says of quarantine: how many files lie there, and where."""
    folder = lake.raw / "quarantine"
    reasons = sorted(str(path).removeprefix(f"{lake.root}/") for path in folder.rglob("*.reason.json"))
    shown: dict[str, Any] = {"files": len(reasons)}
    if reasons:
        shown["reasons"] = dg.MetadataValue.md("\n".join(f"- `{name}`" for name in reasons[-SHOWN:]))
    return {"passed": not reasons, "severity": dg.AssetCheckSeverity.WARN, "metadata": shown}


def evaluations(lake: Lake, config: Config) -> list[dg.AssetCheckEvaluation]:
    """All of them as events, for what is not their own run."""
    coverage = [
        dg.AssetCheckEvaluation(
            asset_key=bronze_key(channel), check_name=COVERAGE, **judge_coverage(lake, config, channel)
        )
        for channel in JUDGED
    ]
    gaps = dg.AssetCheckEvaluation(asset_key=bronze_key(Channel.GAPS), check_name=QUARANTINE, **judge_quarantine(lake))
    return [*coverage, gaps]


def completeness_checks(config: Config) -> list[dg.AssetChecksDefinition]:
    """The checks of bronze."""
    return [*(_coverage_check(config, channel) for channel in JUDGED), _quarantine_check()]


def _coverage_check(config: Config, channel: Channel) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=bronze_key(channel),
        name=COVERAGE,
        description="Enough of the time an instrument was collected is here: `checks.min_coverage`, `max_gap_seconds`.",
    )
    def coverage_enough(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
        del context
        return dg.AssetCheckResult(**judge_coverage(lake.open(), config, channel))

    return coverage_enough


def _quarantine_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=bronze_key(Channel.GAPS), name=QUARANTINE, description="No segment had to be put into quarantine."
    )
    def nothing_quarantined(context: AssetCheckExecutionContext, lake: LakeResource) -> AssetCheckResult:
        del context
        return dg.AssetCheckResult(**judge_quarantine(lake.open()))

    return nothing_quarantined


def completeness_sensor(config: Config, realtime: dg.JobDefinition) -> dg.SensorDefinition:
    """Evaluates the checks of bronze every hour in which no real-time run does."""

    @dg.sensor(
        name="completeness",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Judges every hour what was collected, where no real-time run does.",
    )
    def completeness(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        hour = str(int(time.time()) // HOUR_SECONDS)
        opened = lake.open()
        if context.cursor == hour or not opened.sources():
            return dg.SkipReason("judged this hour" if context.cursor == hour else "nothing was collected yet")
        if is_under_way(context.instance, realtime.name):
            return dg.SkipReason("the real-time run judges what it lands")
        return dg.SensorResult(asset_events=list(evaluations(opened, config)), cursor=hour)

    return completeness
