import secrets

import pytest

from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.storage.s3 import S3Store


@pytest.fixture
def s3_store(s3_server):
    """An empty place in a bucket."""
    return S3Store(s3_server.settings(), s3_server.shared, secrets.token_hex(4))


@pytest.fixture
def local_store(tmp_path):
    """An empty directory."""
    return LocalStore(tmp_path / "local")
