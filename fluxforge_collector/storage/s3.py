"""A bucket of an S3-compatible store as a store. Each object is written by a single request: it is whole or not there.

What is sent carries its MD5, which the store compares, and its SHA-256 as metadata, which every reader here compares.
Conditional writes are no more than an extra guard: no store obtainable is right on all of them (docs/why/storage.md).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from botocore.exceptions import ClientError

from fluxforge_collector.config.model import Storage
from fluxforge_collector.durable import FILE_MODE, make_directory, storage_errors, sync_directory, sync_file
from fluxforge_collector.errors import DamagedError, MissingError, StorageError
from fluxforge_collector.storage import Entry
from fluxforge_collector.storage.s3_client import client_of
from fluxforge_collector.storage.s3_errors import is_missing, s3_errors
from fluxforge_collector.storage.s3_reading import file_system, scan_options

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_SHA256 = "sha256"
_CHUNK = 1 << 20


class Children(NamedTuple):
    """What stands directly below a key: names of folders, and objects."""

    folders: list[str]
    objects: list[Entry]


class S3Store:
    """The objects of a bucket below a prefix."""

    def __init__(self, settings: Storage, bucket: str, prefix: str = "") -> None:
        self.settings, self.bucket, self.prefix = settings, bucket, prefix.strip("/")

    def __repr__(self) -> str:
        return f"S3Store({str(self)!r})"

    def __str__(self) -> str:
        return "/".join(filter(None, ("s3:/", self.bucket, self.prefix)))

    @property
    def client(self) -> Any:
        """Amazon's client; threads may share it."""
        with s3_errors(f"reach {self}"):
            return client_of(self.settings)

    def scan_options(self) -> dict[str, Any]:
        """How polars reaches the bucket."""
        return scan_options(self.settings, self.bucket)

    def open_input(self, key: str) -> Any:
        """An object to be read here and there: what is asked for is fetched, no more. Raises: OSError."""
        return file_system(self.settings, self.bucket).open_input_file(f"{self.bucket}/{self._full(key)}")

    def _full(self, key: str) -> str:
        """The key within the bucket. Raises: StorageError where it is no plain relative path."""
        parts = key.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise StorageError(f"{key[:120]!r} is no key", "use a relative path without '.' and '..'")
        return f"{self.prefix}/{key}" if self.prefix else key

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._full(key)}

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing any other."""
        self._put(key, data, hashlib.md5(data, usedforsecurity=False).digest(), hashlib.sha256(data).hexdigest())

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object whole unless the key exists; whether it was written.

        Of several at once one wins where the store judges `If-None-Match`; elsewhere the last one.
        """
        if self.head(key) is not None:
            return False
        md5, sha256 = hashlib.md5(data, usedforsecurity=False).digest(), hashlib.sha256(data).hexdigest()
        with s3_errors(f"write {self}/{key}"):
            try:
                self._put(key, data, md5, sha256, IfNoneMatch="*")
            except StorageError as error:
                cause = error.__cause__
                if not isinstance(cause, ClientError):
                    raise
                status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status in {409, 412}:
                    return False
                if status != 501:
                    raise
                self._put(key, data, md5, sha256)
        return True

    def _put(self, key: str, body: bytes | IO[bytes], md5: bytes, sha256: str, **conditions: str) -> None:
        with s3_errors(f"write {self}/{key}"):
            answer = self.client.put_object(
                **self._named(key),
                Body=body,
                ContentMD5=base64.b64encode(md5).decode(),
                Metadata={_SHA256: sha256},
                **conditions,
            )
        is_encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        if not is_encrypted and _md5_of(answer) not in {md5.hex(), None}:
            raise StorageError(f"{self}/{key} did not arrive as it was sent", "check the network and the store")

    def send(self, file: Path, key: str) -> None:
        """Write a local file as an object and ask the store what arrived. Raises: StorageError where it differs."""
        with storage_errors(f"read {file}"), file.open("rb") as opened:
            md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).digest()
            opened.seek(0)
            sha256, size = hashlib.file_digest(opened, "sha256").hexdigest(), opened.tell()
            opened.seek(0)
            self._put(key, opened, md5, sha256)
        with s3_errors(f"verify {self}/{key}"):
            there = self._ask_of(key)
        if there["ContentLength"] != size or there.get("Metadata", {}).get(_SHA256, sha256) != sha256:
            raise StorageError(f"{self}/{key} did not arrive as {file} is", "check the network and the store")

    def get(self, key: str) -> bytes:
        """The bytes of an object, compared with its checksum."""
        with s3_errors(f"read {self}/{key}"):
            answer = self.client.get_object(**self._named(key))
            data: bytes = answer["Body"].read()
        self._compare(key, answer, len(data), hashlib.sha256(data).hexdigest())
        return data

    def fetch(self, key: str, file: Path) -> None:
        """Write an object to a local file, durably, compared with its checksum."""
        make_directory(file.parent)
        hidden = file.with_name(f".{secrets.token_hex(8)}.tmp")
        digest = hashlib.sha256()
        size = 0
        try:
            with s3_errors(f"read {self}/{key}"), storage_errors(f"write {file}"):
                answer = self.client.get_object(**self._named(key))
                with os.fdopen(os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as opened:
                    for chunk in answer["Body"].iter_chunks(_CHUNK):
                        opened.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
            self._compare(key, answer, size, digest.hexdigest())
            with storage_errors(f"write {file}"):
                sync_file(hidden)
                hidden.rename(file)
                sync_directory(file.parent)
        finally:
            hidden.unlink(missing_ok=True)

    def _compare(self, key: str, answer: dict[str, Any], size: int, sha256: str) -> None:
        if size != answer["ContentLength"]:
            raise StorageError(f"{self}/{key} broke off after {size} bytes", "try again; check the network")
        if answer.get("Metadata", {}).get(_SHA256, sha256) != sha256:
            raise DamagedError(f"{self}/{key} is not what its checksum says", "restore it from a copy")

    def head(self, key: str) -> Entry | None:
        """What a listing would tell of an object; None where there is none."""
        answer = self._head(key)
        if answer is None:
            return None
        return Entry(key, answer["ContentLength"], answer["LastModified"].timestamp(), _md5_of(answer))

    def _head(self, key: str) -> dict[str, Any] | None:
        with s3_errors(f"look at {self}/{key}"):
            try:
                return self._ask_of(key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise

    def _ask_of(self, key: str) -> dict[str, Any]:
        """What the store says of an object. Raises: ClientError; StorageError where a listing tells why it refuses."""
        try:
            answer: dict[str, Any] = self.client.head_object(**self._named(key))
        except ClientError as error:
            if not is_missing(error):
                self.check()  # an answer to HEAD has no body to give a reason in
            raise
        return answer

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with `prefix`, sorted."""
        for page in self._pages(Prefix=self._below(prefix)):
            yield from (self._entry(found) for found in page.get("Contents", []))

    def children(self, key: str) -> Children:
        """What stands directly below a key; the root's is ''. One request for a thousand names."""
        folders: list[str] = []
        objects: list[Entry] = []
        base = self._below(f"{key}/" if key else "")
        for page in self._pages(Prefix=base, Delimiter="/"):
            folders += [found["Prefix"][len(base) : -1] for found in page.get("CommonPrefixes", [])]
            objects += [self._entry(found) for found in page.get("Contents", []) if found["Key"] != base]
        return Children(folders, objects)

    def has_below(self, key: str) -> bool:
        """Whether anything stands below a key."""
        with s3_errors(f"list {self}/{key}"):
            prefix = self._below(f"{key}/" if key else "")
            answer = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=1)
        return bool(answer.get("KeyCount"))

    def _below(self, prefix: str) -> str:
        return f"{self.prefix}/{prefix}" if self.prefix else prefix

    def _pages(self, **asked: str) -> Iterator[dict[str, Any]]:
        with s3_errors(f"list {self}"):
            yield from self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **asked)

    def _entry(self, found: dict[str, Any]) -> Entry:
        return Entry(
            found["Key"][len(self.prefix) + 1 if self.prefix else 0 :],
            found["Size"],
            found["LastModified"].timestamp(),
            _md5_of(found),
        )

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted."""
        with s3_errors(f"delete {self}/{key}"):
            try:
                self.client.delete_object(**self._named(key))
            except ClientError as error:
                if not is_missing(error):
                    raise

    def move(self, source: str, target: str) -> None:
        """Copy an object within the store, compare, and delete it under its old key."""
        with s3_errors(f"move {self}/{source} to {target}"):
            before = self._ask_of(source)
            copied = self.client.copy_object(**self._named(target), CopySource=self._named(source))
            is_same = _md5_of(before) is not None and _md5_of(before) == _md5_of(copied.get("CopyObjectResult", {}))
            if not is_same:  # no MD5 to compare, as where the store encrypts
                after = self._ask_of(target)
                is_same = all(before.get(known) == after.get(known) for known in ("ContentLength", "Metadata"))
        if not is_same:
            raise StorageError(f"{self}/{target} is not what {source} is", "check the store")
        self.delete(source)

    def checksum(self, key: str) -> str:
        """The SHA-256 of an object, in hexadecimal: as it was noted when sent, else of its bytes."""
        answer = self._head(key)
        if answer is None:
            raise MissingError(f"there is no object {self}/{key}", "check the root")
        noted = answer.get("Metadata", {}).get(_SHA256)
        return noted or hashlib.sha256(self.get(key)).hexdigest()

    def judges_conditions(self) -> bool:
        """Whether the store refuses to overwrite when asked not to; a small object is written twice to find out."""
        key = f".work/probe-{secrets.token_hex(8)}"
        try:
            with s3_errors(f"probe {self}"):
                for is_first in (True, False):
                    try:
                        self.client.put_object(**self._named(key), Body=b"probe", IfNoneMatch="*")
                    except ClientError as error:
                        return not is_first and error.response["ResponseMetadata"]["HTTPStatusCode"] == 412
            return False
        finally:
            self.delete(key)

    def check(self) -> None:
        """Make sure that the bucket is there and may be listed. Raises: StorageError with what is wrong."""
        with s3_errors(f"use {self}"):
            self.client.list_objects_v2(Bucket=self.bucket, Prefix=self._below(""), MaxKeys=1)


def _md5_of(answer: dict[str, Any]) -> str | None:
    """The MD5 that an answer tells; an object written in several pieces has another tag."""
    match = _MD5.fullmatch(answer.get("ETag", ""))
    return match[1] if match else None
