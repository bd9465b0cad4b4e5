"""Where a lake's objects are kept: the few operations both a directory and a bucket can promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

TEMPORARY = ".tmp"
"""How the name of a half-written file ends; such a name also begins with a dot."""


REPLACING = "_replacing.json"
"""An object that stands in a folder while its files are being replaced."""


class Entry(NamedTuple):
    """An object as a listing tells of it; `modified_s` in seconds since the epoch, `md5` where it is known."""

    key: str
    size: int
    modified_s: float
    md5: str | None = None


class Store(Protocol):
    """Objects by key: relative paths with `/` between their parts. Every change is durable when the call returns.

    Raises: StorageError from every method, where the store refuses or the key would leave the root; MissingError, a
    kind of it, where there is no such object.
    """

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole, replacing any other."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object whole unless the key exists; whether it was written."""

    def send(self, file: Path, key: str) -> None:
        """Write a local file as an object, whole, and make sure that it arrived as it is."""

    def get(self, key: str) -> bytes:
        """The bytes of an object."""

    def fetch(self, key: str, file: Path) -> None:
        """Write an object to a local file, durably, and make sure that it arrived as it is."""

    def head(self, key: str) -> Entry | None:
        """What a listing would tell of an object; None where there is none."""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """The objects whose keys begin with a prefix, sorted; half-written ones are none."""

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is deleted."""

    def move(self, source: str, target: str) -> None:
        """Give an object another key, replacing any object there; at every moment it is whole under one of them."""

    def checksum(self, key: str) -> str:
        """The SHA-256 of an object, in hexadecimal."""


def is_temporary(name: str) -> bool:
    """Whether a file of this name is still being written."""
    return name.startswith(".") and name.endswith(TEMPORARY)
