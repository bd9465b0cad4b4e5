"""A real S3-compatible server for tests: OpenStack Swift in a process of its own, on loopback."""

import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from fluxforge_collector.config.model import Storage
from fluxforge_collector.storage.s3 import S3Store

ACCESS, SECRET = "test:tester", "testing"


class Server:
    """A running server; `endpoint` is where it is reached."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="swift-")
        script = Path(__file__).with_name("swift_server.py")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), f"{self._directory.name}/data"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = self._process.stdout.readline().strip()
        assert port, "the server did not start"
        self.port = int(port)
        self.endpoint = f"http://127.0.0.1:{port}"
        self.shared = self.bucket()

    def settings(self, **changes):
        """How to reach it, without patience."""
        return Storage(
            **{
                "endpoint": self.endpoint, "region": "us-east-1", "access_key": ACCESS, "secret_key": SECRET,
                "attempts": 2, "connect_timeout_seconds": 5, "read_timeout_seconds": 60, **changes,
            }
        )  # fmt: skip

    def bucket(self):
        """A new bucket's name."""
        name = f"b-{secrets.token_hex(6)}"
        S3Store(self.settings(), name).client.create_bucket(Bucket=name)
        return name

    def stop(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._directory.cleanup()
