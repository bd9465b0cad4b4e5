"""Settings of every test: hypothesis measures no time, for a loaded machine is no defect."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("fluxforge", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("fluxforge")


@pytest.fixture
def typed(capsys):
    """Runs a command in this process; its exit code, output and errors."""
    from fluxforge_collector.cli import main  # noqa: PLC0415  only where a test needs it

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code or 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture(scope="session")
def s3_server():
    """A real S3-compatible server, one for all tests of a process."""
    from support.s3 import Server  # noqa: PLC0415  boto3 is loaded only where a test needs it

    server = Server()
    yield server
    server.stop()
