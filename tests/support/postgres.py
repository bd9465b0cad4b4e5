"""A Postgres of its own for tests, on loopback: Debian's programs, a database `dagster` for the user of that name."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

_PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"), key=lambda p: p.parts[-2])
DEADLINE_SECONDS = 120


class Postgres:
    """A running server; `address` is how libpq reaches it, `process` its postmaster."""

    def __init__(self):
        # it refuses to run as root, and its user may not enter pytest's folders
        self._data = Path(tempfile.mkdtemp(prefix="pg-"))
        self._log = self._data / "log"
        self.port = free_port()
        self._who = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._data, user.pw_uid, user.pw_gid)
            self._who = {"user": "postgres", "group": user.pw_gid, "extra_groups": []}
        self._plain = {"cwd": self._data, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, **self._who}
        initdb = [_PROGRAMS / "initdb", "-A", "trust", "-U", "dagster", "-N", "-D", self._data / "db"]
        subprocess.run(initdb, check=True, capture_output=True, **self._plain)
        self.address = f"postgresql://dagster@127.0.0.1:{self.port}/dagster"
        self.start()
        subprocess.run([_PROGRAMS / "createdb", *self._reach, "dagster"], check=True)

    @property
    def _reach(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "dagster"]

    def start(self):
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self._data}
        options = [part for pair in settings.items() for part in ("-c", "=".join(map(str, pair)))]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [_PROGRAMS / "postgres", "-D", self._data / "db", *options],
                stdout=log, stderr=log, start_new_session=True, **self._plain,
            )  # fmt: skip
        deadline = time.monotonic() + DEADLINE_SECONDS
        while subprocess.run([_PROGRAMS / "pg_isready", "-q", *self._reach], check=False).returncode:
            assert time.monotonic() < deadline, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.1)

    def log(self):
        """The end of what it has to say."""
        return self._log.read_text()[-2000:]

    def halt(self):
        """End it at once, as a restart does: every connection breaks."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def stop(self):
        if self.process.poll() is None:
            self.halt()
        shutil.rmtree(self._data, ignore_errors=True)


def require():
    """Skip where the machine has none."""
    if not (_PROGRAMS / "initdb").exists():
        pytest.skip("needs Postgres: apt-get install postgresql")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
