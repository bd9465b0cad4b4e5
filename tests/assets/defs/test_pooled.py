"""Dagster's storage over a pool, on a real Postgres: as many connections as are needed at a time, and one that breaks."""

import os
from contextlib import closing

import dagster as dg
import psycopg2
import pytest
from support.postgres import Postgres, require

from fluxforge_assets.defs.pooled import PooledStorage

TOLD = dg.AssetMaterialization("told")


@pytest.fixture(scope="module")
def postgres():
    require()
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def instance(postgres, tmp_path):
    reached = {"scheme": "postgresql+psycopg2", "hostname": "127.0.0.1", "port": postgres.port, "username": "dagster",
               "password": "unused", "db_name": "dagster"}  # fmt: skip
    storage = {"module": "fluxforge_assets.defs.pooled", "class": "PooledStorage", "config": {"postgres_db": reached}}
    overrides = {"storage": {"custom": storage}, "telemetry": {"enabled": False}}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides=overrides) as made:
        yield made


def sessions(postgres):
    """The sessions that Postgres has now, by their processes, but for this one."""
    query = "select pid from pg_stat_activity where datname = 'dagster' and pid <> pg_backend_pid()"
    with closing(psycopg2.connect(postgres.address)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return {pid for (pid,) in cursor.fetchall()}


def test_events_go_over_connections_that_stay(instance, postgres):
    instance.report_runless_asset_event(TOLD)
    before = sessions(postgres)
    for _ in range(20):
        instance.report_runless_asset_event(TOLD)
    assert sessions(postgres) == before
    assert len(instance.fetch_materializations(dg.AssetKey("told"), limit=100).records) == 21


def test_a_second_instance_of_a_process_opens_no_more(instance, postgres):
    instance.report_runless_asset_event(TOLD)
    before = sessions(postgres)
    again = PooledStorage(instance.event_log_storage.postgres_url)
    assert again.event_log_storage.get_maximum_record_id() > 0
    assert sessions(postgres) == before


def test_a_restart_of_postgres_loses_no_event(instance, postgres):
    instance.report_runless_asset_event(TOLD)
    count = len(instance.fetch_materializations(dg.AssetKey("told"), limit=1000).records)
    postgres.halt()
    postgres.start()
    instance.report_runless_asset_event(TOLD)
    assert len(instance.fetch_materializations(dg.AssetKey("told"), limit=1000).records) == count + 1


def test_a_fork_leaves_its_parents_connections_alone(instance):
    instance.report_runless_asset_event(TOLD)
    child = os.fork()
    if not child:
        try:
            instance.report_runless_asset_event(TOLD)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    instance.report_runless_asset_event(TOLD)
