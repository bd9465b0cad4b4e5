"""What is said of Dagster's daemon: by its heartbeats in a real instance, or where there is none."""

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from fluxforge_assets.defs.daemon import check
from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Level

NOW_S = 1_800_000_000
KINDS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def beat(**ages_s):
    with dg.DagsterInstance.get() as instance:
        for kind, age_s in ages_s.items():
            instance.add_daemon_heartbeat(DaemonHeartbeat(float(NOW_S - age_s), kind, "1"))


def said():
    (finding,) = check(Config(), NOW_S * 1_000_000)
    return finding.level, finding.text


def test_without_an_instance_it_is_not_asked_for():
    (finding,) = check(Config(), NOW_S * 1_000_000, environment={})
    assert finding.level is Level.HEALTHY


def test_a_daemon_that_lives_then_falls_silent(home):
    assert said() == (Level.DEGRADED, "has never run: start `dagster dev` or `dagster-daemon run`")
    beat(**dict.fromkeys(KINDS, 20))
    assert said() == (Level.HEALTHY, "alive 20 s ago")
    beat(SENSOR=500)
    assert said() == (Level.DEGRADED, "no heartbeat of sensor: nothing is computed")


def test_an_instance_whose_paths_are_relative_is_looked_for_in_its_home(home, monkeypatch):
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nstorage: {sqlite: {base_dir: .dagster}}\n")
    monkeypatch.chdir(home)
    beat(**dict.fromkeys(KINDS, 20))
    monkeypatch.chdir("/")
    assert said() == (Level.HEALTHY, "alive 20 s ago")


def test_an_instance_that_cannot_be_read(home):
    (home / "dagster.yaml").write_text("storage: {nonsense: 1}\n")
    level, text = said()
    assert level is Level.DEGRADED
    assert text.startswith("its instance cannot be read: ")
