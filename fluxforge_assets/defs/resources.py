"""Resources: the lake, as assets and jobs are handed it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.config.model import Config


class LakeResource(dg.ConfigurableResource[Lake]):
    """The lake under `root`."""

    root: str

    def open(self) -> Lake:
        """The lake. Raises: dagster.Failure where its root is no directory that can be made."""
        try:
            Path(self.root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise dg.Failure(f"the lake {self.root} cannot be used: {error.strerror} — set lake.root") from None
        return Lake(Path(self.root))


def resources(config: Config) -> dict[str, object]:
    """Every resource, by the name assets ask for it."""
    return {"lake": LakeResource(root=str(config.root)), "io_manager": dg.mem_io_manager}
