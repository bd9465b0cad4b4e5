import secrets

import pytest
from support.s3 import Server

from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.storage.s3 import S3Store


@pytest.fixture
def s3_store(s3_server: Server):
    """An empty place in a bucket."""
    return S3Store(s3_server.settings(), s3_server.shared, secrets.token_hex(4))


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    """An empty store of either kind."""
    return LocalStore(tmp_path / "root") if request.param == "local" else request.getfixturevalue("s3_store")
