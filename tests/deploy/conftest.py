"""What the tests of deploy/ share: where things stand, and running the tools made to check them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def deploy():
    """The directory under test."""
    return ROOT / "deploy"


@pytest.fixture(scope="session")
def tool():
    """Runs a tool of `make deploy-check`, or of the system, and gives what it says; it must not complain."""

    def run(name, *arguments, **options):
        found = shutil.which(
            name, path=f"{ROOT / '.venv-deploy' / 'bin'}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin"
        )
        assert found, f"{name} is missing: run `make deploy-check`, which says what to install"
        done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run
