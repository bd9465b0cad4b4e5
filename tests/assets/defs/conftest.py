import dagster as dg
import pytest
from support.market import config_of

from fluxforge_assets.definitions import build
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
def defs(config):
    """The definitions of the lake."""
    return build(config)


@pytest.fixture
def instance():
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made
