"""A cluster on loopback: Postgres, Redis, code server, daemon, page and Celery workers, each a process of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest

from support.postgres import Postgres, free_port
from support.postgres import require as require_postgres

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 900


class Cluster:
    """Everything a cluster runs, by the profile in deploy/cluster; a worker is a machine with files of its own."""

    def __init__(self, folder, fluxforge_yaml, s3_server, *, changes=(), only_stores=False):
        """`changes` are words of the profile to replace, and `only_stores` leaves Dagster out, for comparisons."""
        self.folder = Path(folder)
        self._only_stores = only_stores
        self._stack = ExitStack()
        home = self.folder / "home"
        home.mkdir()
        profile = (ROOT / "deploy" / "cluster" / "dagster.yaml").read_text()
        for old, new in changes:
            profile = profile.replace(old, new)
        (home / "dagster.yaml").write_text(profile)
        self.code_port, self.page_port, self.redis_port = free_port(), free_port(), free_port()
        self._database = Postgres()
        self._stack.callback(self._database.stop)
        self.postgres = self._database.process
        workspace = (ROOT / "deploy" / "dagster" / "workspace.yaml").read_text()
        (home / "workspace.yaml").write_text(workspace.replace("4000", str(self.code_port)))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLUXFORGE")},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
            "DAGSTER_HOME": str(home),
            "DAGSTER_LOCAL_DIR": str(self.folder / "local"),
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self._database.port),
            "DAGSTER_PG_USERNAME": "dagster",
            "DAGSTER_PG_PASSWORD": "unused",
            "DAGSTER_PG_DB": "dagster",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{self.redis_port}/1",
            "FLUXFORGE_CONFIG": str(fluxforge_yaml),
            "FLUXFORGE__LAKE__LOCKS": self._database.address,
            "FLUXFORGE_CODE_HOST": "127.0.0.1",
            "FLUXFORGE_LOG_BUCKET": s3_server.shared,
            "FLUXFORGE_S3_ENDPOINT": s3_server.endpoint,
            "AWS_ACCESS_KEY_ID": "test:tester",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.workers = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.page_port}"

    def __enter__(self):
        try:
            self._stores()
            self._run([BIN / "dagster", "instance", "migrate"])
            if self._only_stores:
                return self
            workspace = ["-w", str(self.folder / "home" / "workspace.yaml")]
            code = ["api", "grpc", "-m", "fluxforge_assets.definitions", "-h", "127.0.0.1", "-p", str(self.code_port)]
            self.start("code", [BIN / "dagster", *code])
            self.wait_for(lambda: is_open(self.code_port))
            self.start("daemon", [BIN / "dagster-daemon", "run", *workspace])
            page = [BIN / "dagster-webserver", "-h", "127.0.0.1", "-p", str(self.page_port), *workspace]
            self.start("page", page)
            self.wait_for(lambda: is_open(self.page_port))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stack.close()

    def start(self, name, command, **changes):
        """Start a process in a group of its own; it is stopped with the cluster."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, start_new_session=True,
                **{"cwd": self.folder, "env": self.environment, **changes},
            )  # fmt: skip
        self._stack.callback(stop, process)
        return process

    def start_workers(self, *names):
        """Workers with one slot each, as machines of their own: nothing local is shared between them."""
        before = {name: self._times_ready(name) for name in names}
        self.workers |= {name: self._worker(name) for name in names}
        self.wait_for(lambda: all(self._times_ready(name) > times for name, times in before.items()))

    def _times_ready(self, name):
        log = self.folder / f"{name}.log"
        return log.read_bytes().count(b" ready.") if log.exists() else 0

    def _worker(self, name):
        machine = self.folder / name
        machine.mkdir(exist_ok=True)
        own = {"DAGSTER_LOCAL_DIR": str(machine), "FLUXFORGE__LAKE__WORK": str(machine / "work")}
        command = [BIN / "celery", "-A", "dagster_celery.app", "worker", "--concurrency", "1", "--disable-prefetch"]
        command += ["--loglevel", "info", "-n", f"{name}@%h"]
        return self.start(name, command, env={**self.environment, **own})

    def kill_worker(self, name):
        """Kill the worker as a power cut does; the kernel kills its children with it."""
        os.kill(self.workers[name].pid, signal.SIGKILL)
        self.workers[name].wait()

    def set_pool(self, name, limit):
        self._run([BIN / "dagster", "instance", "concurrency", "set", name, str(limit)])

    def wait_for(self, condition, deadline_s=DEADLINE_SECONDS):
        deadline = time.monotonic() + deadline_s
        while not (found := condition()):
            assert time.monotonic() < deadline, self.logs()
            assert self.postgres.poll() is None, self._database.log()
            time.sleep(0.2)
        return found

    def logs(self):
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in self.folder.glob("*.log"))

    def _stores(self):
        redis = ["redis-server", "--port", self.redis_port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.start("redis", redis)
        self.wait_for(lambda: is_open(self.redis_port))

    def _run(self, command):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def instance_of(cluster):
    """Dagster's instance, as a process beside sees it: its profile reads the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            if not name.startswith("FLUXFORGE__"):
                patch.setenv(name, value)
        with dg.DagsterInstance.from_config(cluster.environment["DAGSTER_HOME"]) as instance:
            yield instance


def require():
    """Skip where the machine lacks Postgres or Redis."""
    require_postgres()
    if not shutil.which("redis-server"):
        pytest.skip("needs Redis: apt-get install redis-server")


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process):
    """End a process and its group, gently first."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
