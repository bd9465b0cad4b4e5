"""How those who read a bucket by themselves reach it, pyarrow and polars, by the same settings as the client."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow.fs

from fluxforge_collector.config.model import Storage
from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage.s3_client import region_of, session_of
from fluxforge_collector.storage.s3_errors import s3_errors

_KEPT = 8


class Keys(NamedTuple):
    """The keys that hold now: those of a role are others an hour later."""

    access: str
    secret: str
    token: str | None


def file_system(settings: Storage, bucket: str) -> pyarrow.fs.S3FileSystem:
    """How pyarrow reaches a bucket. Raises: StorageError without keys."""
    return _file_system(settings, _keys(settings, bucket), os.getpid())


def scan_options(settings: Storage, bucket: str) -> dict[str, Any]:
    """How polars reaches a bucket. Raises: StorageError without keys."""
    keys = _keys(settings, bucket)
    options: dict[str, Any] = {
        "aws_access_key_id": keys.access,
        "aws_secret_access_key": keys.secret,
        "aws_region": region_of(settings),
        "aws_allow_http": "true",
        "max_retries": settings.attempts - 1,
    }
    if keys.token:
        options["aws_session_token"] = keys.token
    scheme, _, host = (settings.endpoint or "").partition("://")
    if settings.path_style is False:
        options["aws_virtual_hosted_style_request"] = "true"
        host = f"{bucket}.{host}"  # polars puts it before nobody's name but Amazon's
    return options | ({"aws_endpoint_url": f"{scheme}://{host}"} if scheme else {})


def _keys(settings: Storage, bucket: str) -> Keys:
    with s3_errors(f"use the keys of s3://{bucket}"):
        found = session_of(settings).get_credentials()
        if found is None:
            raise StorageError(
                f"there are no keys for s3://{bucket}", "set storage.access_key or the environment's keys"
            )
        frozen = found.get_frozen_credentials()
    return Keys(frozen.access_key, frozen.secret_key, frozen.token)


@lru_cache(_KEPT)
def _file_system(settings: Storage, keys: Keys, process: int) -> pyarrow.fs.S3FileSystem:
    """One for the same keys, of a process alone: a fork must not use its parent's threads."""
    del process
    scheme, _, host = (settings.endpoint or "").partition("://")
    return pyarrow.fs.S3FileSystem(
        access_key=keys.access,
        secret_key=keys.secret,
        session_token=keys.token,
        region=region_of(settings),
        connect_timeout=settings.connect_timeout_seconds,
        request_timeout=settings.read_timeout_seconds,
        force_virtual_addressing=settings.path_style is False,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=settings.attempts),
        **({"endpoint_override": host, "scheme": scheme} if host else {}),
    )
