"""When the sensor asks for a run: for what waits, not too often, and never where a run could only fail."""

import resource
import time

import pytest
from support.market import DAY, NOON_US, deliver, records, seal
from support.runs import failure_of, materialise, sensor_context, tick

from fluxforge_assets.definitions import build
from fluxforge_assets.defs.daemon import RUNS_FAILED
from fluxforge_assets.defs.sensors import wait_for_next
from fluxforge_assets.lake.marks import mark
from fluxforge_collector.errors import ConfigError, StorageError

DEADLINE_SECONDS = 120
FAR_US = NOON_US + 30_000 * 86_400_000_000


def test_a_tick_without_anything_new_asks_for_nothing(defs, instance, lake):
    del lake
    assert tick(defs, instance) == []


def test_segments_of_a_date_that_has_not_begun_wait(defs, instance, lake):
    """A collector's clock is ahead: nothing is run over and over for them."""
    seal(lake.root, records(4, start_us=FAR_US, seconds=20))
    assert tick(defs, instance) == []
    assert list(lake.raw.glob("ready/**/*.json"))


def test_the_sensor_waits_after_failures(config, instance, lake):
    waiting = config.model_copy(update={"etl": config.etl.model_copy(update={"min_run_interval_seconds": 3600.0})})
    defs = build(waiting)
    seal(lake.root, records(6, seconds=15))
    assert len(tick(defs, instance)) == 1
    mark(lake, "ccxt", DAY)
    sensor = defs.get_repository_def().get_sensor_def("ready_segments")
    assert "may start in" in sensor.evaluate_tick(sensor_context(defs, instance)).skip_message
    assert wait_for_next(instance, 3600.0, time.time() - 7200, is_new=True).seconds == 0, "the clock was set back"


def test_runs_that_the_lake_refuses_whole_come_less_and_less_often(config, defs, instance, lake):
    """New segments wait too then; they do not for a partition that keeps failing by itself."""
    seal(lake.root, records(6, seconds=15))
    lake.raw.joinpath("archive").touch()
    for failures in range(1, 4):
        (run,) = tick(defs, instance)
        assert failure_of(run).endswith("File exists — check space and rights of the root")
        assert "\n" not in failure_of(run)
        wait = wait_for_next(instance, 30.0, time.time(), is_new=True)
        assert wait.failures == failures
        assert 30 * (1 << failures) - DEADLINE_SECONDS < wait.seconds <= 30 * (1 << failures)
    patient = build(config.model_copy(update={"etl": config.etl.model_copy(update={"min_run_interval_seconds": 99.0})}))
    asked = (
        patient.get_repository_def().get_sensor_def("ready_segments").evaluate_tick(sensor_context(patient, instance))
    )
    assert asked.skip_message.startswith(f"{RUNS_FAILED}3; the next run may start in ")
    lake.raw.joinpath("archive").unlink()
    (run,) = tick(defs, instance)
    assert run.success
    assert wait_for_next(instance, 30.0, time.time(), is_new=True).failures == 0


def test_new_segments_do_not_wait_for_a_partition_that_keeps_failing(tmp_path, defs, instance, lake):
    manifests = seal(tmp_path / "staging", records(6, seconds=50))
    deliver(tmp_path / "staging", lake.root, manifests)
    assert materialise(defs, instance, ["bronze/orderbook"], DAY).success
    lake.segments("ccxt").archive_file("orderbook", DAY, manifests[0].id).write_bytes(b"rotten")
    (run,) = tick(defs, instance)
    assert "cannot be read" in failure_of(run)
    assert [wait_for_next(instance, 30.0, time.time(), is_new=is_new).failures for is_new in (True, False)] == [0, 1]


def test_no_run_is_started_into_a_lake_that_takes_nothing(defs, instance, lake):
    """The tick says what is refused, in a line; once it is mended the next one starts a run."""
    seal(lake.root, records(6, seconds=15))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(StorageError, match="File too large — check space and rights of the lake's root"):
            tick(defs, instance)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    (run,) = tick(defs, instance)
    assert run.success


def test_no_run_is_started_that_could_not_read_its_configuration(tmp_path, defs, instance, lake, monkeypatch):
    """The code server goes on with the one it has; the tick says what is wrong, once, in place of run after run."""
    seal(lake.root, records(6, seconds=15))
    (tmp_path / "fluxforge.yaml").write_text("lak: {}")
    monkeypatch.setenv("FLUXFORGE_CONFIG", str(tmp_path / "fluxforge.yaml"))
    with pytest.raises(ConfigError, match=r"unknown key 'lak' in .*; did you mean 'lake'"):
        tick(defs, instance)
    (tmp_path / "fluxforge.yaml").write_text("")
    assert len(tick(defs, instance)) == 1
