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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Dagster warns of what is beta whenever definitions are copied; it is pinned."""
    for item in items:
        if "assets/defs/" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings("ignore::dagster.BetaWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"))
