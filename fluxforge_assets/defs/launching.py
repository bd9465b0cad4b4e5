"""Handing batches to Dagster as backfills: through a webserver's GraphQL, or into the instance its daemon reads."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

import dagster as dg

from fluxforge_assets.defs.partitions import register
from fluxforge_assets.lake.backfill import Batch
from fluxforge_assets.lake.datasets import dataset_of
from fluxforge_collector.config.model import Config
from fluxforge_collector.errors import FluxForgeError

TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 1.0
SAMPLED_EVENTS = 200
LONGEST_TITLE = 100
TAGS = {"fluxforge/backfill": "command"}

_NODES = """query($keys: [AssetKeyInput!]) {
  assetNodes(assetKeys: $keys) { assetKey { path } opVersion repository { location { name } } }
  workspaceOrError { ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { ... on PythonError { message } } } } } }"""
_RELOAD = "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"
_LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  ... on PartitionKeysNotFoundError { message } ... on InvalidSubsetError { message } } }"""


class Webserver:
    """A running Dagster webserver, by its address."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise FluxForgeError(f"{url!r} is no address of a webserver", "write it like http://127.0.0.1:3000")
        self.url = url.rstrip("/")

    def __repr__(self) -> str:
        return f"<Webserver {self.url}>"

    def check_configuration(self, config: Config, assets: Sequence[str]) -> None:
        """Have it load its code again where it holds another configuration.

        Raises: FluxForgeError where it then still does, or does not know the assets.
        """
        if not (wrong := self._differing(config, assets)):
            return
        for location in {node["repository"]["location"]["name"] for node in wrong}:
            self._ask(_RELOAD, name=location)
        if self._differing(config, assets):
            raise FluxForgeError(
                f"the webserver {self.url} was started with another configuration",
                "restart its code server with this one, or name the same file with --config",
            )

    def _differing(self, config: Config, assets: Sequence[str]) -> list[dict[str, Any]]:
        options = config.etl.channels.orderbook.processor_options
        return [
            node
            for node in self._serving(assets)
            if node["opVersion"] != dataset_of("/".join(node["assetKey"]["path"])).fingerprint(options)
        ]

    def _serving(self, assets: Sequence[str]) -> list[dict[str, Any]]:
        """The assets as it serves them, once its code is loaded. Raises: FluxForgeError where it lacks one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = self._ask(_NODES, keys=[{"path": dataset_of(asset).asset_key} for asset in assets])
            nodes: list[dict[str, Any]] = answer["assetNodes"]
            if len(nodes) == len(assets):
                return nodes
            entries = answer["workspaceOrError"].get("locationEntries", [])
            if time.monotonic() > deadline or all(entry["loadStatus"] == "LOADED" for entry in entries):
                errors = [(entry["locationOrLoadError"] or {}).get("message", "") for entry in entries]
                why = next((f": {lines[-1]}" for error in errors if (lines := error.strip().splitlines())), "")
                raise FluxForgeError(
                    f"the Dagster at {self.url} does not serve {', '.join(assets)}{why}", "check --url"
                )
            time.sleep(POLL_SECONDS)

    def launch(self, batch: Batch) -> str:
        """Launch a batch; the backfill's id. Raises: FluxForgeError where Dagster refuses it."""
        params = {
            "assetSelection": [{"path": dataset_of(asset).asset_key} for asset in batch.assets],
            "partitionNames": list(batch.keys),
            "tags": [{"key": key, "value": value} for key, value in TAGS.items()],
            "title": short_title_of(batch),
            "fromFailure": False,
        }
        answer: dict[str, str] = self._ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if "backfillId" not in answer:
            said = answer.get("message", answer["__typename"]).splitlines()[0]
            raise FluxForgeError(f"Dagster refused the backfill: {said}", "see that the partitions are on its page")
        return answer["backfillId"]

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310  the scheme is checked
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310  as above
                answer = json.load(response)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise FluxForgeError(
                f"no Dagster webserver answers at {self.url}: {reason}",
                "start one with `dagster dev -w workspace.yaml`, or set DAGSTER_HOME to leave it to the daemon",
            ) from None
        if not isinstance(answer, dict) or answer.get("errors"):
            said = answer["errors"][0]["message"] if isinstance(answer, dict) else "no GraphQL"
            raise FluxForgeError(f"the webserver {self.url} cannot answer: {said}", "check --url")
        data: dict[str, Any] = answer["data"]
        return data


def queue(instance: dg.DagsterInstance, graph: Any, batch: Batch, now: float) -> str:
    """Write a backfill request into the instance, as the webserver does; the daemon takes it up. Its id."""
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.utils import make_new_backfill_id

    register(instance, set(batch.instruments))
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=graph,
        partition_names=list(batch.keys),
        asset_selection=[dg.AssetKey(dataset_of(asset).asset_key) for asset in batch.assets],
        backfill_timestamp=now,
        tags=dict(TAGS),
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=short_title_of(batch),
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id


def title_of(batch: Batch) -> str:
    """What a backfill is: its assets, dates and instruments."""
    dates, names = batch.dates, batch.instruments
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    of_whom = names[0] if len(names) == 1 else f"{len(names)} instruments"
    return f"{', '.join(batch.assets)}; {span}; {of_whom}"


def short_title_of(batch: Batch) -> str:
    """The same on Dagster's page, which takes no longer title: the assets are counted where their names do not fit."""
    title = title_of(batch)
    if len(title) > LONGEST_TITLE:
        title = title_of(batch._replace(assets=(f"{len(batch.assets)} assets",)))
    return title[:LONGEST_TITLE]


def is_daemon_running(instance: dg.DagsterInstance) -> bool:
    """Whether a daemon that launches backfills has been heard of lately."""
    from dagster._daemon.controller import get_daemon_statuses

    kind = "BACKFILL"
    return bool(get_daemon_statuses(instance, [kind], ignore_errors=True)[kind].healthy)


def elapsed_seconds(instance: dg.DagsterInstance, asset: str) -> list[float]:
    """How long recent partitions of an asset took that were computed as a whole."""
    records = instance.fetch_materializations(dg.AssetKey(dataset_of(asset).asset_key), limit=SAMPLED_EVENTS).records
    found = []
    for record in records:
        metadata = record.asset_materialization.metadata if record.asset_materialization else {}
        seconds, rebuilt = metadata.get("elapsed_seconds"), metadata.get("rebuilt")
        if seconds is not None and rebuilt is not None and rebuilt.value:
            found.append(float(str(seconds.value)))
    return found
