"""How a bucket is reached: whose keys, which region, with what patience. What is asked of it: `s3`."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from fluxforge_collector.config.model import Storage
from fluxforge_collector.storage.s3_errors import refuse_other_region


@cache
def session_of(settings: Storage) -> Any:
    """Where the keys come from: the settings, else the environment, a profile or the machine's role."""
    return boto3.session.Session(
        aws_access_key_id=_revealed(settings.access_key),
        aws_secret_access_key=_revealed(settings.secret_key),
        aws_session_token=_revealed(settings.session_token),
        profile_name=settings.profile,
    )


def region_of(settings: Storage) -> str:
    """The region named, or the environment's."""
    return settings.region or session_of(settings).region_name or "us-east-1"


@cache
def client_of(settings: Storage) -> Any:
    """Amazon's client, made once for the same settings."""
    is_in_path = settings.path_style if settings.path_style is not None else settings.endpoint is not None
    client = session_of(settings).client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=region_of(settings),
        config=ClientConfig(
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            retries={"total_max_attempts": settings.attempts, "mode": "standard"},
            max_pool_connections=settings.workers + 4,
            s3={"addressing_style": "path" if is_in_path else "auto"},
            # stores other than Amazon's do not all know the checksums its client would add by itself
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    # it would follow a bucket to its region by itself, where those who read with pyarrow and polars cannot
    client.meta.events.register_first("needs-retry.s3", refuse_other_region)
    return client


def _revealed(secret: Any) -> str | None:
    return secret.get_secret_value() if secret else None
