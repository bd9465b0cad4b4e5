"""The images: their Dockerfiles by hadolint, and what goes into them by the locks."""

import re

import pytest

IMAGES = ("collector", "assets")


def pins(path):
    """Name → version of a lock."""
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==([^\s\\;]+)", path.read_text(), re.MULTILINE | re.IGNORECASE))


@pytest.mark.deploy
@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_nothing_to_say_against_it(image, deploy, tool):
    assert not tool("hadolint", deploy / "docker" / f"{image}.Dockerfile")


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_copied_is_let_in(image, deploy, root):
    allowed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    text = (deploy / "docker" / f"{image}.Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert len(copied) >= 5
    for name in copied:
        assert (root / name).exists()
        assert any(name == entry or name.startswith(f"{entry}/") for entry in allowed), name


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_as_nobody_in_particular(image, deploy):
    text = (deploy / "docker" / f"{image}.Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001"]


@pytest.mark.parametrize("image", [*IMAGES, "cluster"])
def test_its_lock_has_the_versions_that_are_tested(image, deploy, root):
    tested, installed = pins(root / "requirements.lock"), pins(deploy / "locks" / f"{image}.lock")
    assert len(installed) > 20
    assert installed.items() <= tested.items()


def test_the_kernels_compiled_are_those_that_are_installed(deploy):
    """Without -P Python takes those in the directory it is started in; their compiled form is of no use to the others."""
    page = (deploy.parent / "docs" / "how-to" / "deploy-on-a-pi.md").read_text()
    for text in ((deploy / "docker" / "assets.Dockerfile").read_text(), page):
        started = re.findall(r"(\S+) -m fluxforge_assets\.kernels", text)
        assert started
        assert set(started) == {"-P"}


def test_the_collector_brings_no_dagster_and_no_polars(deploy):
    names = pins(deploy / "locks" / "collector.lock").keys()
    assert not {name for name in names if name.startswith(("dagster", "polars", "numba", "matplotlib", "numpy"))}


def test_the_locks_name_no_host(deploy):
    for path in (deploy / "locks").glob("*.lock"):
        assert "://" not in path.read_text()
