"""A lake that refuses is found out with one small file, which is gone afterwards, and what refused is said."""

import pytest
from support.lakes import bucket_lake, files_below

from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.usable import check_usable
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.bucket import BucketPath
from fluxforge_collector.storage.s3 import S3Store


def test_one_that_takes_all_is_left_as_it_was(lake):
    check_usable(lake)
    assert not [name for name in files_below(lake) if not name.startswith(".work/locks/")]


def test_a_bucket_is_tried_with_the_keys_that_hold(s3_server, tmp_path):
    lake = bucket_lake(s3_server, tmp_path)
    check_usable(lake)
    assert not files_below(lake)
    wrong = S3Store(s3_server.settings(secret_key="wrong"), s3_server.shared, "lake")
    with pytest.raises(StorageError, match="the secret key does not fit the access key"):
        check_usable(Lake(BucketPath(wrong), tmp_path / "local"))


def test_its_disk_is_tried_beside_a_bucket(s3_server, tmp_path):
    lake = bucket_lake(s3_server, tmp_path)
    lake.work.parent.mkdir()
    lake.work.touch()
    with pytest.raises(StorageError, match=r"cannot lock .*/local/.*: File exists"):
        check_usable(lake)


def test_locks_that_cannot_be_reached_are_told(tmp_path):
    with pytest.raises(StorageError, match="the locks of the lake cannot be reached"):
        check_usable(Lake(tmp_path, locks="postgresql://nobody@127.0.0.1:1/none"))
