"""Resources: the lake, as assets and jobs are handed it, and what they hand on to one another: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from fluxforge_assets.lake.paths import Lake, open_lake
from fluxforge_collector.config.model import Config


class LakeResource(dg.ConfigurableResource[Lake]):
    """The lake under `root`. How a bucket is reached is no field of it: Dagster would keep and show its keys."""

    root: str

    def configuration(self) -> Config:
        """The configuration that names the lake."""
        raise NotImplementedError

    def open(self) -> Lake:
        """The lake. Raises: dagster.Failure where its root is no directory that can be made."""
        lake = open_lake(self.configuration())
        try:
            Path(lake.root if isinstance(lake.root, Path) else lake.work).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise dg.Failure(f"the lake {self.root} cannot be used: {error.strerror} — set lake.root") from None
        return lake


class InLake(dg.IOManager):
    """Assets keep what they make in the lake themselves and hand nothing on, so each can be run again by itself."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Nothing is left to keep."""

    def load_input(self, context: dg.InputContext) -> None:
        """What is needed is read from the lake."""


def resources(config: Config) -> dict[str, object]:
    """Every resource, by the name assets ask for it."""

    class ConfiguredLake(LakeResource):
        def configuration(self) -> Config:
            return config

    root = config.lake.root if config.lake.is_in_bucket else str(config.root)
    return {"lake": ConfiguredLake(root=root), "io_manager": InLake()}
