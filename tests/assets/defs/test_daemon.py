"""What is said of Dagster's daemon and of the sensor it asks: by what a real instance holds, or where there is none."""

import contextlib
import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from fluxforge_assets.defs.daemon import RUNS_FAILED, SENSOR, check
from fluxforge_collector.config.model import Config
from fluxforge_collector.health.finding import Level

NOW_S = 1_800_000_000
PROFILE = Path(__file__).parents[3] / "dagster.yaml"
KINDS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


def beat(by="1", **ages_s):
    with dg.DagsterInstance.get() as instance:
        for kind, age_s in ages_s.items():
            instance.add_daemon_heartbeat(DaemonHeartbeat(float(NOW_S - age_s), kind, by))


def ask(age_s, *, status=InstigatorStatus.DECLARED_IN_CODE, error=None, waits=None):
    """What the daemon writes down when it has asked the sensor."""
    location = GrpcServerCodeLocationOrigin("localhost", 4266, location_name="fluxforge")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), SENSOR)
    data = SensorInstigatorData(float(NOW_S - age_s), min_interval=5)
    state = InstigatorState(origin, InstigatorType.SENSOR, status, data)
    with dg.DagsterInstance.get() as instance:
        known = instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
        (instance.update_instigator_state if known else instance.add_instigator_state)(state)
        instance.create_tick(
            TickData(
                state.instigator_origin_id, SENSOR, InstigatorType.SENSOR,
                TickStatus.FAILURE if error else TickStatus.SKIPPED, float(NOW_S - age_s),
                error=caused(error) if error else None, skip_reason=waits, selector_id=state.selector_id,
            )
        )  # fmt: skip


def caused(error):
    return SerializableErrorInfo("a sensor failed", [], None, cause=SerializableErrorInfo(error, [], None))


def said():
    *_, finding = check(Config(), NOW_S * 1_000_000)
    return finding.level, finding.text


def heartbeat():
    finding, *_ = check(Config(), NOW_S * 1_000_000)
    return finding.level, finding.text


def test_without_an_instance_it_is_not_asked_for():
    (finding,) = check(Config(), NOW_S * 1_000_000, environment={})
    assert finding.level is Level.HEALTHY


def test_a_daemon_that_lives_then_falls_silent(home):
    assert said() == (Level.DEGRADED, "has never run: start `dagster dev` or `dagster-daemon run`")
    beat(**dict.fromkeys(KINDS, 20))
    assert heartbeat() == (Level.HEALTHY, "alive 20 s ago")
    beat(SENSOR=500)
    assert said() == (Level.DEGRADED, "no heartbeat of sensor: nothing is computed")


def test_two_daemons_on_one_home(home):
    """Each writes over the other's heartbeats, at another moment for each kind."""
    beat(**dict.fromkeys(KINDS, 20))
    beat("2", SENSOR=10)
    assert said() == (Level.DEGRADED, "more than one runs on this home: stop the others")
    beat("2", **dict.fromkeys(KINDS, 5))
    assert heartbeat() == (Level.HEALTHY, "alive 5 s ago"), "one took the place of the other"


def test_an_instance_whose_paths_are_relative_is_looked_for_in_its_home(home, monkeypatch):
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nstorage: {sqlite: {base_dir: .dagster}}\n")
    monkeypatch.chdir(home)
    beat(**dict.fromkeys(KINDS, 20))
    monkeypatch.chdir("/")
    assert heartbeat() == (Level.HEALTHY, "alive 20 s ago")


def test_an_instance_whose_variables_are_not_set_names_them(home, monkeypatch):
    """As `fluxforge health` by hand, or its timer, where Dagster is in Postgres."""
    monkeypatch.delenv("DAGSTER_PG_HOST", raising=False)
    text = (
        "storage: {postgres: {postgres_db: {hostname: {env: DAGSTER_PG_HOST}, username: a, password: b, db_name: c}}}"
    )
    (home / "dagster.yaml").write_text(text)
    assert said() == (
        Level.DEGRADED, "its instance cannot be read: its dagster.yaml asks for DAGSTER_PG_HOST, not set here"
    )  # fmt: skip


def test_an_instance_that_cannot_be_read(home):
    (home / "dagster.yaml").write_text("storage: {nonsense: 1}\n")
    level, text = said()
    assert level is Level.DEGRADED
    assert text.startswith("its instance cannot be read: ")


def test_a_daemon_that_asks_the_sensor_or_does_not(home):
    """The daemon lives while the code server is down: nothing is computed, and no heartbeat tells."""
    beat(**dict.fromkeys(KINDS, 20))
    assert said() == (Level.DEGRADED, "was never asked: does the code server run?")
    ask(10)
    assert said() == (Level.HEALTHY, "asked 10 s ago")
    ask(9, error="ConfigError: unknown key 'lak'\n  more")
    assert said() == (Level.DEGRADED, "fails: ConfigError: unknown key 'lak'")
    ask(8, waits="a real-time run is under way")
    assert said() == (Level.HEALTHY, "asked 8 s ago")
    ask(7, waits=f"{RUNS_FAILED}3; the next run may start in 200 s")
    assert said() == (
        Level.DEGRADED,
        "real-time runs failed in a row: 3; the next run may start in 200 s; the last one says why on Dagster's page",
    )
    ask(6, status=InstigatorStatus.STOPPED)
    assert said() == (Level.DEGRADED, "is switched off: no real-time run is started")
    ask(500)
    assert said() == (Level.DEGRADED, "not asked for 8 min 20 s: does the code server run?")
    ask(-3600)
    assert said() == (Level.DEGRADED, "not asked for 1 h yet: the clock was set back")


def test_the_sensor_is_one_there_is(defs):
    assert defs.get_repository_def().has_sensor_def(SENSOR)


@pytest.mark.parametrize("name", ["schedules/schedules.db", "history/runs.db", "history/runs/index.db"])
def test_a_damaged_database_is_named(home, name):
    shutil.copy(PROFILE, home)
    (home / ".dagster").mkdir()
    with contextlib.chdir(home):
        beat(**dict.fromkeys(KINDS, 20))
        ask(10)
    assert said() == (Level.HEALTHY, "asked 10 s ago")
    file = home / ".dagster" / "storage" / name
    for journal in file.parent.glob(f"{file.name}-*"):
        journal.unlink()
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 20_000)
    level, text = said()
    assert level is Level.DEGRADED
    assert text == (
        f"its instance cannot be read: .dagster/storage/{name} of {home} is damaged; stop it and delete that"
    )
