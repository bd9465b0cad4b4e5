"""Silver and gold assets, by date × instrument: materialising a partition computes it anew and replaces it.

Real-time runs append instead; they are in `realtime`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from fluxforge_assets.defs.bronze import bronze_key
from fluxforge_assets.defs.checks import check_specs, results
from fluxforge_assets.defs.failing import failing_plainly
from fluxforge_assets.defs.metadata import OWNERS, bar_lineage, column_schema, of_change
from fluxforge_assets.defs.partitions import instrument_dates, partition_key, split_key
from fluxforge_assets.defs.resources import LakeResource
from fluxforge_assets.lake.advance import replace
from fluxforge_assets.lake.archive import Archive, archives_of
from fluxforge_assets.lake.datasets import (
    GOLD_BARS,
    REFRESHED,
    SILVER_ORDERBOOK,
    SILVER_TICKER,
    SILVER_TRADES,
    Dataset,
)
from fluxforge_assets.lake.marks import mark_gold
from fluxforge_assets.lake.paths import Lake, Place
from fluxforge_assets.lake.recipe import Change
from fluxforge_assets.lake.update import recipe_of, sources_of
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError
from fluxforge_collector.records import Channel

_UPSTREAM = {
    SILVER_ORDERBOOK: [bronze_key(c) for c in (Channel.ORDERBOOK, Channel.TRADES, Channel.GAPS)],
    SILVER_TRADES: [bronze_key(Channel.TRADES)],
    SILVER_TICKER: [bronze_key(Channel.TICKER)],
    **{gold: [dg.AssetKey(SILVER_ORDERBOOK.asset_key)] for gold in (GOLD_BARS, *REFRESHED)},
}


def upstream_of(dataset: Dataset) -> set[Dataset]:
    """The processed datasets a dataset is made from, however many steps before it."""
    direct = {known for known in _UPSTREAM if dg.AssetKey(known.asset_key) in _UPSTREAM[dataset]}
    return direct.union(*(upstream_of(known) for known in direct))


def processed_assets(config: Config) -> list[dg.AssetsDefinition]:
    """The asset of every processed dataset."""
    return [_asset(config, dataset) for dataset in _UPSTREAM]


def _asset(config: Config, dataset: Dataset) -> dg.AssetsDefinition:
    options = config.etl.channels.orderbook.processor_options
    fingerprint = dataset.fingerprint(options)
    layer = dataset.asset_key[0]
    metadata: dict[str, Any] = {
        "dagster/column_schema": column_schema(dataset.columns(options)),
        "looks_ahead": dataset.looks_ahead,
    }
    if dataset == GOLD_BARS:
        metadata["dagster/column_lineage"] = bar_lineage(options)

    @dg.asset(
        key=dataset.asset_key,
        deps=_UPSTREAM[dataset],
        partitions_def=instrument_dates(config),
        backfill_policy=dg.BackfillPolicy.single_run(),
        code_version=fingerprint,
        description=dataset.description,
        group_name=layer,
        owners=OWNERS,
        kinds={"parquet", "polars"},
        tags={"layer": layer} | ({"look_ahead": "true"} if dataset.looks_ahead else {}),
        metadata=metadata,
        check_specs=check_specs(dataset),
        pool="backfill",
    )
    @failing_plainly()
    # the bare name: Dagster takes an argument in brackets for a tuple of outputs
    def build(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        keys = list(context.partition_keys)
        if not keys:
            raise dg.Failure(
                "the range holds no partition: give its ends in the order of the page", allow_retries=False
            )
        opened = lake.open()
        archives = archives_of(opened)
        done: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for key in keys:
            try:
                done[key] = _build(opened, config, dataset, key, archives, is_alone=len(keys) == 1)
            except FluxForgeError as error:
                failed[key] = str(error)
                context.log.error("%s: %s", key, error)  # noqa: TRY400  the message says it all
        if failed:
            for key, shown in done.items():
                context.log_event(materialization(dataset, key, shown, fingerprint))
            first = next(iter(failed.values()))
            raise dg.Failure(f"{len(failed)} of {len(keys)} partitions failed; first: {first}", allow_retries=False)
        for key, shown in done.items():
            context.add_asset_metadata(shown, partition_key=key)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(fingerprint),
            check_results=results(opened, config, dataset, places_of_keys(archives, keys), archives),
        )

    return build


def places_of_keys(archives: Mapping[str, Archive], keys: list[str]) -> list[Place]:
    """The places behind partition keys, of every source that has them."""
    split = [split_key(key) for key in keys]
    return [
        Place(source, instrument, date)
        for date, instrument in split
        for source in sources_of(archives.values(), instrument, date)
    ]


def _build(
    lake: Lake, config: Config, dataset: Dataset, key: str, archives: Mapping[str, Archive], *, is_alone: bool
) -> dict[str, Any]:
    """Replace one partition; its metadata. One asked for by itself must have something to be made from."""
    places = places_of_keys(archives, [key])
    if not places and is_alone:
        date, instrument = split_key(key)
        raise dg.Failure(
            f"nothing was collected of {instrument.key} on {date} — see `fluxforge query bronze/gaps --date {date}`",
            allow_retries=False,
        )
    shown: dict[str, Any] = {"dagster/partition_row_count": 0}
    for place in places:
        archive = archives[place.source]
        change = replace(lake, recipe_of(dataset.asset, lake, config, place.source, archive), place)
        if dataset == SILVER_ORDERBOOK:
            mark_gold(lake, place.source, place.date)
        shown = of_change(lake, change, archive)
    return shown


def materialization(dataset: Dataset, key: str, shown: dict[str, Any], fingerprint: str) -> dg.AssetMaterialization:
    """The event that says a partition changed."""
    date, instrument = split_key(key)
    return dg.AssetMaterialization(
        dataset.asset_key,
        partition=partition_key(date, instrument),
        metadata=shown,
        tags={"dagster/data_version": fingerprint},
    )


def of_realtime(lake: Lake, change: Change, archive: Archive) -> dg.AssetMaterialization:
    """The event of a partition that a real-time run changed."""
    key = str(partition_key(change.place.date, change.place.instrument))
    return materialization(change.dataset, key, of_change(lake, change, archive), change.fingerprint)
