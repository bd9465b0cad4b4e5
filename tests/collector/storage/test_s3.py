"""What only a bucket can get wrong: each refusal is one clear error, and what is damaged is never taken for good."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pyarrow.parquet as pq
import pytest
from support.fault_proxy import FaultProxy

from fluxforge_collector.config.model import Storage
from fluxforge_collector.errors import MissingError, StorageError
from fluxforge_collector.storage.s3 import S3Store

ATTEMPTS = 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret_key": "wrong"}, "the secret key does not fit"),
        ({"access_key": "nobody:here"}, "access key is not known|does not fit|permission denied"),
        ({"region": "eu-central-1"}, "the region is not the bucket's"),
        ({"access_key": "test:reader", "secret_key": "reading"}, "permission denied"),
        ({"profile": "of-nobody", "access_key": None, "secret_key": None}, "of-nobody"),
    ],
    ids=["secret", "access", "region", "rights", "profile"],
)
def test_a_refusal_is_one_clear_error(s3_server, changes, said):
    store = S3Store(s3_server.settings(**changes), s3_server.shared, "refused")
    for touch in (store.check, lambda: store.put("k", b"x")):
        with pytest.raises(StorageError, match=said) as caught:
            touch()
        assert "testing" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert S3Store(s3_server.settings(), s3_server.shared, "refused").head("k") is None


@pytest.mark.parametrize(("fault", "said"), [("expired", "credentials have expired"), ("skewed", "clock is too far")])
def test_a_refusal_that_has_no_body_to_say_why_is_explained_all_the_same(s3_server, fault, said):
    """A store answers HEAD with a status alone."""
    proxy = FaultProxy(s3_server.port)
    try:
        store = S3Store(s3_server.settings(endpoint=proxy.endpoint), s3_server.shared, "refused")
        proxy.be(fault)
        for touch in (lambda: store.head("k"), lambda: store.checksum("k"), lambda: store.move("k", "l")):
            with pytest.raises(StorageError, match=said):
                touch()
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("path_style", "wanted"), [(None, ("localhost", "/bucket/k")), (False, ("bucket.localhost", "/k"))]
)
def test_those_who_read_name_the_bucket_where_the_store_wants_it_and_try_as_often(path_style, wanted):
    asked = []

    class Empty(BaseHTTPRequestHandler):
        """A store of nothing that is busy at first, and remembers what it was asked for."""

        def do_HEAD(self):
            asked.append((self.headers["Host"].partition(":")[0], self.path))
            self.send_response(503 if len(asked) < ATTEMPTS else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        settings = Storage(
            endpoint=f"http://localhost:{server.server_port}",
            access_key="a",
            secret_key="b",
            path_style=path_style,
            attempts=ATTEMPTS,
        )
        try:
            with pytest.raises(FileNotFoundError):
                S3Store(settings, "bucket").open_input("k")
        finally:
            server.shutdown()
            serving.join()
    assert asked == [wanted] * ATTEMPTS
    options = S3Store(settings, "bucket").scan_options()
    assert options["aws_endpoint_url"] == f"http://{wanted[0]}:{server.server_port}", "polars takes it as it is"
    assert options["max_retries"] == ATTEMPTS - 1


def test_a_file_that_goes_while_it_is_sent_has_arrived(s3_store, tmp_path):
    """A backfill may replace a part while its lake is copied: that must not end the copy."""
    file = tmp_path / "part.parquet"
    file.write_bytes(b"x" * 1000)

    class Slow(S3Store):
        def _put(self, *what, **conditions):
            super()._put(*what, **conditions)
            file.unlink()

    Slow(s3_store.settings, s3_store.bucket, s3_store.prefix).send(file, "part.parquet")
    assert s3_store.get("part.parquet") == b"x" * 1000


def test_a_missing_bucket_says_so(s3_server):
    with pytest.raises(StorageError, match="there is no such bucket"):
        S3Store(s3_server.settings(), "not-made").check()


def test_an_endpoint_that_is_down_says_so(s3_server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    store = S3Store(s3_server.settings(endpoint=endpoint, attempts=1), "any")
    with pytest.raises(StorageError, match="cannot be reached"):
        store.check()


def test_an_object_changed_behind_our_back_is_not_believed(s3_store, tmp_path):
    s3_store.put("k", b"what was sent")
    sent = s3_store.client.head_object(Bucket=s3_store.bucket, Key=f"{s3_store.prefix}/k")["Metadata"]
    s3_store.client.put_object(Bucket=s3_store.bucket, Key=f"{s3_store.prefix}/k", Body=b"what was sane", Metadata=sent)
    for touch in (lambda: s3_store.get("k"), lambda: s3_store.fetch("k", tmp_path / "k")):
        with pytest.raises(StorageError, match="not what its checksum says"):
            touch()
    assert not list(tmp_path.iterdir())


def test_the_probe_finds_that_this_server_judges_conditions(s3_store):
    assert s3_store.judges_conditions()
    assert not list(s3_store.list())


def test_keys_never_show(s3_server, s3_store):
    assert "testing" not in repr(s3_store) + str(s3_store) + repr(s3_server.settings()) + str(s3_server.settings())


def test_parquet_is_read_by_pyarrow_and_polars(s3_store, tmp_path):
    pl.DataFrame({"a": [1, 2, 3]}).write_parquet(tmp_path / "f.parquet")
    s3_store.send(tmp_path / "f.parquet", "f.parquet")
    assert pq.read_table(s3_store.open_input("f.parquet"))["a"].to_pylist() == [1, 2, 3]
    read = pl.scan_parquet(f"{s3_store}/f.parquet", storage_options=s3_store.scan_options()).collect()
    assert read["a"].to_list() == [1, 2, 3]
    with pytest.raises(FileNotFoundError):
        s3_store.open_input("g.parquet")
    with pytest.raises(MissingError):
        s3_store.get("g.parquet")
