"""What an S3-compatible store, or the way to it, answers when it refuses: one clear error with its remedy for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from fluxforge_collector.errors import MissingError, StorageError, UnreachableError

_KEYS = "check storage.access_key and storage.secret_key, or the environment's"
_REFUSALS = {
    "NoSuchBucket": ("there is no such bucket", "create the bucket, or correct lake.root"),
    "NoSuchKey": ("there is no such object", ""),
    "404": ("there is no such object", ""),
    "AccessDenied": ("permission denied", "let these keys list, read, write and delete below the root"),
    "403": ("permission denied", "let these keys list, read, write and delete below the root"),
    "InvalidAccessKeyId": ("the access key is not known", _KEYS),
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _KEYS),
    "ExpiredToken": ("the credentials have expired", "renew them; what waits is sent once they hold again"),
    "TokenRefreshRequired": ("the credentials have expired", "renew them; what waits is sent once they hold again"),
    "InvalidToken": ("the session token is not valid", "renew the credentials"),
    "RequestTimeTooSkewed": ("this machine's clock is too far from the store's", "set the clock; run NTP"),
    "PermanentRedirect": ("the bucket is in another region", "set storage.region to the bucket's"),
    "301": ("the bucket is in another region", "set storage.region to the bucket's"),
    "AuthorizationHeaderMalformed": ("the region is not the bucket's", "set storage.region to the bucket's"),
    "IllegalLocationConstraintException": ("the region is not the bucket's", "set storage.region to the bucket's"),
    "SlowDown": ("the store asks for fewer requests", "set storage.workers lower"),
    "503": ("the store asks for fewer requests", "set storage.workers lower"),
    "ServiceUnavailable": ("the store is not available", "try again later"),
    "BadDigest": ("what arrived there is not what was sent", "check the network"),
    "XAmzContentSHA256Mismatch": ("what arrived there is not what was sent", "check the network"),
    "InvalidDigest": ("what arrived there is not what was sent", "check the network"),
    "IncompleteBody": ("what arrived there is not whole", "check the network"),
}
_ELSEWHERE = {"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
MISSING = {"NoSuchKey", "404"}


@contextmanager
def s3_errors(action: str) -> Iterator[None]:
    """Turn what the store or the network refuses into a StorageError that says what was attempted."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = MissingError if code in MISSING else UnreachableError if status >= 500 else StorageError
        raise kind(
            f"cannot {action}: {_reason(error, code)}", _REFUSALS.get(code, ("", "see the store's log"))[1]
        ) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise StorageError(f"cannot {action}: {error}", _KEYS) from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise UnreachableError(
            f"cannot {action}: the store cannot be reached, or its answer broke off: {_first_line(error)}",
            "check storage.endpoint and the network",
        ) from error
    except BotoCoreError as error:
        raise StorageError(f"cannot {action}: {_first_line(error)}", "check the storage section") from error


def is_missing(error: ClientError) -> bool:
    """Whether a refusal says that there is no such object."""
    return str(error.response.get("Error", {}).get("Code", "")) in MISSING


def refuse_other_region(response: Any, operation: Any, **_: Any) -> None:
    """Called by the client after each answer. Raises: ClientError where the bucket is in another region."""
    said = response[1] if response else {}
    if said.get("Error", {}).get("Code") in _ELSEWHERE:
        raise ClientError(said, operation.name)


def _reason(error: ClientError, code: str) -> str:
    known = _REFUSALS.get(code)
    if known:
        return known[0]
    said: Any = error.response.get("Error", {}).get("Message")
    return f"{code or 'refused'}: {said or 'no reason given'}"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]
