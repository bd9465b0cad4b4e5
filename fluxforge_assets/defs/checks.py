"""Asset checks: the lake's own checks, as Dagster shows them."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.checks import CHECKS, Check, Stored, Verdict
from fluxforge_assets.lake.datasets import SILVER_ORDERBOOK, Dataset
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.plausibility import PLAUSIBLE
from fluxforge_collector.config.model import Config

SHOWN = 20


def check_specs(dataset: Dataset) -> list[dg.AssetCheckSpec]:
    """The checks of an asset, evaluated in the run that writes it.

    What everything else is made from blocks it where it is wrong; what is merely implausible is a warning.
    """
    return [
        dg.AssetCheckSpec(
            name,
            asset=dataset.asset_key,
            description=check.__doc__,
            blocking=dataset == SILVER_ORDERBOOK and name in CHECKS[dataset],
        )
        for name, check in _checks(dataset).items()
    ]


def _checks(dataset: Dataset) -> dict[str, Check]:
    return CHECKS[dataset] | PLAUSIBLE.get(dataset, {})


def results(
    lake: Lake, config: Config, dataset: Dataset, places: list[Place], archives: Mapping[str, Archive]
) -> list[dg.AssetCheckResult]:
    """One result per check over all partitions of a run, each judged against the archive of its source."""
    stored = [Stored(lake, config, dataset, place, archives[place.source]) for place in places]
    return [
        dg.AssetCheckResult(
            check_name=name,
            asset_key=dg.AssetKey(dataset.asset_key),
            passed=all(verdict.is_passed for _, verdict in verdicts),
            severity=dg.AssetCheckSeverity.ERROR if name in CHECKS[dataset] else dg.AssetCheckSeverity.WARN,
            metadata={
                "partitions": len(verdicts),
                "failed": sum(not verdict.is_passed for _, verdict in verdicts),
                "details": dg.MetadataValue.md(_table(verdicts)),
            },
        )
        for name, check in _checks(dataset).items()
        for verdicts in [[(one.place, check(one)) for one in stored]]
    ]


def _table(verdicts: list[tuple[Place, Verdict]]) -> str:
    """Failed partitions first."""
    rows = sorted(verdicts, key=lambda pair: pair[1].is_passed)[:SHOWN]
    lines = [f"| {p.date} | {p.instrument.key} | {'✓' if v.is_passed else '✗'} | {v.detail} |" for p, v in rows]
    return "\n".join(["| date | instrument | | |", "|---|---|---|---|", *lines])


def evaluations(
    lake: Lake, config: Config, dataset: Dataset, places: list[Place], archives: Mapping[str, Archive]
) -> list[dg.AssetCheckEvaluation]:
    """The same as events, for a run that is not the asset's own."""
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(dataset.asset_key),
            check_name=str(result.check_name),
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
        )
        for result in results(lake, config, dataset, places, archives)
    ]
