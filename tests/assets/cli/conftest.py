import json

import pytest
import yaml
from support.market import DAY, config_of, records, seal

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update


@pytest.fixture
def lake(tmp_path):
    """A lake with one day of every dataset, of three instruments."""
    made = Lake(tmp_path / "lake")
    seal(made.root, records(1, seconds=20))
    land(made, "ccxt")
    assert list(update(made, config_of(made.root), "ccxt", DAY))
    return made


@pytest.fixture
def configure(tmp_path, lake, monkeypatch):
    """Writes the configuration the command reads, with these exchanges."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def write(**exchanges):
        content = json.loads(config_of(lake.root).model_dump_json())
        content["exchanges"] = {name: {"symbols": symbols} for name, symbols in exchanges.items()}
        (tmp_path / "fluxforge.yaml").write_text(yaml.safe_dump(content))
        monkeypatch.setenv("FLUXFORGE_CONFIG", str(tmp_path / "fluxforge.yaml"))

    write()
    return write
