"""The units as systemd itself reads them, with the drop-ins of the Raspberry Pi, and how exposed they are."""

import re
import shutil

import pytest

UNITS = ("collector", "code", "daemon", "webserver", "worker", "health")
PROGRAMS = {"fluxforge", "dagster", "dagster-daemon", "dagster-webserver", "celery"}


@pytest.fixture
def units(deploy, root, tmp_path):
    """The units with the programs of this checkout in place of those installed under /opt."""
    for path in (deploy / "systemd").glob("fluxforge-*.*"):
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/fluxforge/.venv", str(root / ".venv")))
    for directory in (deploy / "systemd" / "pi").iterdir():
        shutil.copytree(directory, tmp_path / directory.name)
    return tmp_path


@pytest.mark.deploy
@pytest.mark.parametrize("name", [*(f"fluxforge-{unit}.service" for unit in UNITS), "fluxforge-health.timer"])
def test_systemd_has_nothing_to_say_against_it(name, units, tool):
    assert not tool("systemd-analyze", "verify", f"./{name}", cwd=units)


@pytest.mark.deploy
@pytest.mark.parametrize("unit", UNITS)
def test_its_exposure_is_low(unit, units, tool):
    said = tool("systemd-analyze", "security", "--offline=true", "--no-pager", f"./fluxforge-{unit}.service", cwd=units)
    exposure = float(re.search(r"Overall exposure level for .*: ([\d.]+)", said)[1])
    assert exposure <= 2.0, said


@pytest.mark.parametrize("unit", UNITS)
def test_each_is_bounded_and_runs_what_is_installed(unit, deploy):
    text = (deploy / "systemd" / f"fluxforge-{unit}.service").read_text()
    assert "MemoryMax=" in text
    assert "User=fluxforge" in text
    assert re.search(r"ExecStart=/opt/fluxforge/\.venv/bin/([\w-]+)", text)[1] in PROGRAMS


def test_dagsters_processes_run_in_its_home_for_paths_in_its_file_are_relative(deploy):
    for unit in UNITS[1:]:
        text = (deploy / "systemd" / f"fluxforge-{unit}.service").read_text()
        home = re.search(r"DAGSTER_HOME=(\S+)", text)[1]
        assert f"WorkingDirectory={home}\n" in text
        assert home.removeprefix("/var/lib/") in re.search(r"StateDirectory=(.*)", text)[1].split()


def test_who_judges_is_told_what_the_others_are(deploy):
    """Without it the health of a server, whose Dagster is in Postgres, would be degraded for ever."""
    files = {
        unit: set(
            re.findall(
                r"^EnvironmentFile=(.*)$", (deploy / f"systemd/fluxforge-{unit}.service").read_text(), re.MULTILINE
            )
        )
        for unit in UNITS
    }
    assert files["health"] == set().union(*files.values())


def test_everything_that_listens_does_so_on_loopback(deploy):
    texts = "".join((deploy / "systemd" / f"fluxforge-{unit}.service").read_text() for unit in UNITS)
    assert re.findall(r"-h (\S+)", texts) == ["127.0.0.1", "127.0.0.1"]


def test_the_drop_ins_are_of_units_there_are_and_ask_for_less(deploy):
    for directory in (deploy / "systemd" / "pi").iterdir():
        unit = deploy / "systemd" / directory.name.removesuffix(".d")
        small, large = (megabytes(path.read_text()) for path in (directory / "pi.conf", unit))
        assert small < large


@pytest.mark.parametrize("name", ["fluxforge-{}.service", "pi/fluxforge-{}.service.d/pi.conf"])
def test_the_code_server_may_take_most_for_runs_are_its_children(name, deploy):
    units = ("code", "collector", "daemon", "webserver")
    code, *others = (megabytes((deploy / "systemd" / name.format(unit)).read_text()) for unit in units)
    assert code > 2 * max(others)


def megabytes(text):
    size, unit = re.search(r"MemoryMax=(\d+)([MG])", text).groups()
    return int(size) * (1024 if unit == "G" else 1)
