"""Dagster's instance files: accepted by its own schema, and alike in what does not depend on the place."""

import re
from pathlib import Path

import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema

ROOT = Path(__file__).resolve().parents[2]
SERVER, CLUSTER = ROOT / "deploy" / "dagster" / "server.yaml", ROOT / "deploy" / "cluster" / "dagster.yaml"
PROFILES = [ROOT / "dagster.yaml", SERVER, CLUSTER]
ALIKE = ("telemetry", "nux", "run_coordinator", "retention")


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_dagster_accepts_it(path, monkeypatch):
    for variable in re.findall(r"\{env: (\w+)\}", path.read_text()):
        monkeypatch.setenv(variable, "x")
    result = process_config(dagster_instance_config_schema(), yaml.safe_load(path.read_text()))
    assert result.success, result.errors


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_two_slots_stay_free_for_real_time_and_the_gold_refresh(path):
    runs = yaml.safe_load(path.read_text())["concurrency"]["runs"]
    (backfill,) = runs["tag_concurrency_limits"]
    assert (backfill["key"], backfill["limit"]) == ("dagster/backfill", runs["max_concurrent_runs"] - 2)


def test_they_differ_only_where_the_place_does():
    one, *others = (yaml.safe_load(path.read_text()) for path in PROFILES)
    for other in others:
        assert [one[key] for key in ALIKE] == [other[key] for key in ALIKE]


def test_what_tells_of_a_run_that_died_outlives_the_machine():
    """The sensor `lost_runs` finds it there; below /tmp it would go with the run."""
    for path in (ROOT / "dagster.yaml", SERVER):
        kept = yaml.safe_load(path.read_text())["local_artifact_storage"]["config"]["base_dir"]
        assert not kept.startswith(("/tmp", "/run", "/dev/shm")), path


def test_the_database_is_reached_by_the_driver_that_is_installed():
    server, cluster = (yaml.safe_load(path.read_text())["storage"] for path in (SERVER, CLUSTER))
    for config in (server["postgres"], cluster["custom"]["config"]):
        assert config["postgres_db"]["scheme"] == "postgresql+psycopg2"
    pytest.importorskip("psycopg2")


def test_every_daemon_waits_with_its_backfills_for_a_code_server_that_is_away(deploy):
    """Dagster's own default takes the assets for gone, and the backfill for failed."""
    for name in ("systemd/fluxforge-daemon.service", "compose/compose.yaml", "kubernetes/dagster-values.yaml"):
        assert "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR" in (deploy / name).read_text(), name
