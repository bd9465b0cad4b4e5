"""Bronze assets, by date: landing the segments that wait, and what a date then holds."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa

from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.metadata import OWNERS, instant
from fluxforge_assets.defs.partitions import check_date, dates, register
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.defs.spark import Float64Array, spark
from fluxforge_assets.lake.archive import Archive
from fluxforge_assets.lake.landing import Landed, land
from fluxforge_collector.config.model import Config
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE, LEVELS, MEANINGS
from fluxforge_collector.segments.manifest import Manifest

HOUR_US = 3_600_000_000
DESCRIPTIONS = {
    Channel.ORDERBOOK: "Every order book state the collector received, by value, best levels first.",
    Channel.TRADES: "Every trade as the exchange sent it; those fetched after a gap are marked.",
    Channel.TICKER: "The exchange's own summaries, as sent.",
    Channel.GAPS: "The ledger of what is missing: between which instants, on which channel, and why.",
}


def bronze_key(channel: Channel) -> dg.AssetKey:
    """The asset of a channel."""
    return dg.AssetKey(["bronze", channel.value])


def bronze_assets(config: Config) -> dg.AssetsDefinition:
    """One asset per channel; a run of a date lands all that waits for it."""
    specs = [
        dg.AssetSpec(
            bronze_key(channel),
            description=description,
            group_name="bronze",
            owners=OWNERS,
            kinds={"parquet"},
            tags={"layer": "bronze"},
            code_version=str((BRONZE[channel].metadata or {})[b"fluxforge.schema_version"], "ascii"),
            metadata={"dagster/column_schema": _column_schema(channel)},
            skippable=True,
        )
        for channel, description in DESCRIPTIONS.items()
    ]

    @dg.multi_asset(
        specs=specs,
        name="bronze",
        can_subset=True,
        partitions_def=dates(config),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="landing",
    )
    def bronze(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult[Any]]:
        with failing_plainly():
            wanted = [check_date(key) for key in context.partition_keys]
            opened = lake.open()
            for source in opened.sources():
                report(context, land(opened, source, wanted, max_tries=config.etl.max_tries))
            archives = [Archive(opened, source) for source in opened.sources()]
            for date in wanted:
                register(context.instance, instruments_of(archives, date))
            for channel in DESCRIPTIONS:
                key = bronze_key(channel)
                if key in context.selected_asset_keys:
                    for date in wanted:
                        context.add_asset_metadata(of_date(archives, channel, date), asset_key=key, partition_key=date)
                    yield dg.MaterializeResult(asset_key=key)

    return bronze


def report(context: dg.OpExecutionContext | dg.AssetExecutionContext, landed: Landed) -> None:
    """Log what a landing did."""
    if landed.manifests:
        context.log.info("landed %d segments", len(landed.manifests))
    for name, reason in landed.quarantined.items():
        context.log.warning("quarantined %s: %s", name, reason)
    for name, reason in landed.failed.items():
        context.log.error("segment %s failed, and is tried again: %s", name, reason)


def instruments_of(archives: Sequence[Archive], date: str) -> set[str]:
    """Keys of the instruments with bronze rows on a date."""
    return {key for archive in archives for key in archive.instruments(archive.names(date))}


def of_date(archives: Sequence[Archive], channel: Channel, date: str) -> dict[str, Any]:
    """What a channel holds on a date, from its manifests."""
    manifests = [archive.manifest(name) for archive in archives for name in archive.names(date)]
    entries = [m.channels[channel] for m in manifests if channel in m.channels]
    rows: dict[str, int] = {}
    for entry in entries:
        for key, known in entry.instruments.items():
            rows[key] = rows.get(key, 0) + known.rows
    shown: dict[str, Any] = {
        "dagster/partition_row_count": sum(entry.rows for entry in entries),
        "bytes": sum(entry.bytes for entry in entries),
        "files": sum(entry.file is not None for entry in entries),
        "segments": len(manifests),
        "instruments": len(rows),
    }
    if manifests:
        shown["from"] = instant(min(m.from_us for m in manifests))
        shown["to"] = instant(max(m.to_us for m in manifests))
        lines = [
            "| instrument | rows |",
            "|---|---|",
            *(f"| {key} | {count:,} |" for key, count in sorted(rows.items())),
        ]
        shown["preview"] = dg.MetadataValue.md("\n".join(lines))
        hours = _by_hour(manifests, channel)
        shown["plot"] = dg.MetadataValue.md(spark(hours))
    return shown


def _by_hour(manifests: list[Manifest], channel: Channel) -> dict[str, Float64Array]:
    """Rows of the channel, and gaps of all, by the hour in which their segment begins."""
    rows, gaps = np.zeros(24), np.zeros(24)
    for manifest in manifests:
        hour = manifest.from_us // HOUR_US % 24
        rows[hour] += manifest.channels[channel].rows if channel in manifest.channels else 0
        gaps[hour] += manifest.gaps
    return {"rows per hour": rows, "gaps per hour": gaps}


def _column_schema(channel: Channel) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                f.name,
                _type(f.type),
                description=MEANINGS[f.name],
                constraints=dg.TableColumnConstraints(nullable=f.nullable),
            )
            for f in BRONZE[channel]
        ]
    )


def _type(dtype: pa.DataType) -> str:
    """The type in few words: how strings are coded says nothing of the values."""
    if pa.types.is_dictionary(dtype):
        return str(dtype.value_type)
    return "list of (price, size)" if dtype == LEVELS else str(dtype)
