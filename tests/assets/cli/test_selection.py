"""Which instance of Dagster a command speaks to: that of its home, wherever the command stands."""

import dagster as dg
import pytest

from fluxforge_assets.cli.selection import open_instance
from fluxforge_collector.errors import FluxForgeError

RELATIVE = "telemetry: {enabled: false}\nstorage: {sqlite: {base_dir: .dagster}}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    made = tmp_path / "home"
    made.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(made))
    monkeypatch.chdir(tmp_path)
    return made


def test_no_home_is_no_instance(monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert open_instance() is None


def test_relative_paths_are_those_of_the_home(home, monkeypatch):
    (home / "dagster.yaml").write_text(RELATIVE)
    with open_instance() as instance:
        instance.add_dynamic_partitions("instruments", ["binanceus:BTC-USDT"])
    assert [path.name for path in home.parent.iterdir()] == ["home"]
    monkeypatch.chdir(home)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_dynamic_partitions("instruments") == ["binanceus:BTC-USDT"]


UNOPENED = {
    "no profile": ("storage: {nonsense: 1}\n", "DagsterInvalidConfigError"),
    "no database": ("storage: {sqlite: {base_dir: /dev/null}}\n", "Error"),
}


@pytest.mark.parametrize(("profile", "named"), UNOPENED.values(), ids=UNOPENED)
def test_an_instance_that_cannot_be_opened_is_one_line(home, profile, named):
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n" + profile)
    with pytest.raises(FluxForgeError, match=named) as caught:
        open_instance()
    assert str(caught.value).startswith(f"Dagster's instance of {home} cannot be opened: ")
    assert "\n" not in str(caught.value)
