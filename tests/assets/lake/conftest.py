import polars as pl
import pytest
from support.market import config_of

from fluxforge_assets.lake.paths import Lake


@pytest.fixture
def lake(tmp_path):
    """An empty lake."""
    return Lake(tmp_path / "lake")


@pytest.fixture
def config(lake):
    """The configuration of the lake."""
    return config_of(lake.root)


@pytest.fixture
def stored(lake):
    """Reads a partition as anybody would."""

    def read(place, folder):
        directory = lake.partition(place, folder)
        return pl.read_parquet(f"{directory}/*.parquet") if directory.exists() else None

    return read
