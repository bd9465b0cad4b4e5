"""Paths into a bucket, in the spelling of pathlib: what the lake asks of a directory it can ask of a bucket too.

Only what both can promise is here. A folder exists where an object stands below it; nothing makes or removes one. What
a listing told of an object is kept with its path, so that asking for its size costs no request.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import total_ordering
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxforge_collector.config.model import IN_BUCKET, Storage, is_place
from fluxforge_collector.errors import ConfigError, MissingError, StorageError
from fluxforge_collector.storage import Entry, Store
from fluxforge_collector.storage.local import LocalStore

if TYPE_CHECKING:
    from fluxforge_collector.storage.s3 import S3Store

CACHED_FOLDERS = 40
"""Days whose manifests are kept on the disk: compaction looks back on a month every night."""
_WILD = re.compile(r"[*?\[]")
_REFUSED = ("AWS Error ", "object-store error: ")


class Stat(NamedTuple):
    """Size in bytes and time of the last change, in seconds since the epoch."""

    st_size: int
    st_mtime: float


@total_ordering
class BucketPath:
    """A key of a bucket, or the folder of that name; the root's key is ''."""

    __slots__ = ("_entry", "key", "store")

    def __init__(self, store: S3Store, key: str = "", entry: Entry | None = None) -> None:
        self.store, self.key, self._entry = store, key, entry

    def __repr__(self) -> str:
        return f"BucketPath({str(self)!r})"

    def __str__(self) -> str:
        return f"{self.store}/{self.key}" if self.key else str(self.store)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BucketPath) and str(self) == str(other)

    def __lt__(self, other: BucketPath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, below: str | PurePosixPath | Path) -> BucketPath:
        return BucketPath(self.store, f"{self.key}/{below}" if self.key else str(below))

    @property
    def name(self) -> str:
        """The last part."""
        return str(self).rpartition("/")[2]

    @property
    def md5(self) -> str | None:
        """The MD5 of its bytes where a listing told it."""
        return self._entry.md5 if self._entry else None

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> BucketPath:
        """The folder it stands in; the root's is the root."""
        return BucketPath(self.store, self.key.rpartition("/")[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """Its parts, those of the root first."""
        return PurePosixPath(str(self)).parts

    def with_name(self, name: str) -> BucketPath:
        """Another name in the same folder."""
        return self.parent / name

    def relative_to(self, folder: BucketPath) -> PurePosixPath:
        """The way from a folder above. Raises: ValueError where it is not above."""
        return PurePosixPath(str(self)).relative_to(str(folder))

    def exists(self) -> bool:
        """Whether there is such an object or folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return self._entry is not None or (bool(self.key) and self.store.head(self.key) is not None)

    def is_dir(self) -> bool:
        """Whether an object stands below."""
        return self._entry is None and self.store.has_below(self.key)

    def iterdir(self) -> Iterator[BucketPath]:
        """What stands directly in a folder. Raises: FileNotFoundError where nothing does."""
        folders, objects = self.store.children(self.key)
        if not folders and not objects and self.key:
            raise MissingError(f"there is nothing below {self}", "")
        yield from (self / name for name in folders)
        yield from (BucketPath(self.store, entry.key, entry) for entry in objects)

    def glob(self, pattern: str) -> Iterator[BucketPath]:
        """What matches a pattern, part by part: one listing for each folder a part with wildcards is looked for in."""
        first, _, rest = pattern.partition("/")
        if not _WILD.search(first):
            found = [self / first] if rest or (self / first).exists() else []
        else:
            folders, objects = self.store.children(self.key)
            found = [self / name for name in folders if fnmatch.fnmatchcase(name, first)]
            if not rest:
                made = (BucketPath(self.store, entry.key, entry) for entry in objects)
                found += [path for path in made if fnmatch.fnmatchcase(path.name, first)]
        for path in found:
            yield from path.glob(rest) if rest else (path,)

    def rglob(self, pattern: str) -> Iterator[BucketPath]:
        """The objects anywhere below whose name matches; folders are none."""
        for entry in self.store.list(f"{self.key}/" if self.key else ""):
            path = BucketPath(self.store, entry.key, entry)
            if fnmatch.fnmatchcase(path.name, pattern):
                yield path

    def stat(self) -> Stat:
        """Size and age. Raises: FileNotFoundError where there is no such object."""
        entry = self._entry or self.store.head(self.key)
        if entry is None:
            raise MissingError(f"there is no object {self}", "")
        return Stat(entry.size, entry.modified_s)

    def read_bytes(self) -> bytes:
        """The whole object. Raises: FileNotFoundError where there is none."""
        return self.store.get(self.key)

    def read_text(self) -> str:
        """The whole object as text."""
        return self.read_bytes().decode()

    def open_input(self) -> Any:
        """The object for reading here and there, as pyarrow takes it."""
        return self.store.open_input(self.key)

    def write_bytes(self, data: bytes) -> None:
        """Write the object whole, replacing any other."""
        self.store.put(self.key, data)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete the object. Raises: FileNotFoundError where there is none, unless that is fine."""
        if not missing_ok and not self.is_file():
            raise MissingError(f"there is no object {self}", "")
        self.store.delete(self.key)

    def rename(self, target: BucketPath) -> None:
        """Give the object another key: a copy, compared, then a deletion. Raises: FileNotFoundError."""
        self.store.move(self.key, target.key)


LakePath = Path | BucketPath
"""Where something stands in a lake: on a file system or in a bucket."""


def readable(path: LakePath) -> Any:
    """What pyarrow reads a file from: its path, or the object opened."""
    return path if isinstance(path, Path) else path.open_input()


def refusal(error: Exception) -> StorageError | None:
    """What a store, or the way to it, refused a reader of its objects; None for any other error, as of their bytes.

    pyarrow and polars tell one from the other by their words alone.
    """
    said = str(error).partition("\n")[0]
    if not any(words in said for words in _REFUSED):
        return None
    return StorageError(f"the bucket cannot be read: {said[:300]}", "check the network, and what the keys may read")


def matching(folder: LakePath, pattern: str) -> list[LakePath]:
    """What matches a pattern below a folder, sorted."""
    found: Iterator[LakePath] = folder.glob(pattern)
    return sorted(found, key=str)


def on_disk(path: LakePath, folder: Path) -> Path:
    """A local file of the same bytes: the file itself, or an object fetched into `folder`. Raises: StorageError."""
    if isinstance(path, Path):
        return path
    near = folder / path.name
    if not near.exists():
        path.store.fetch(path.key, near)
    return near


def nearby(path: LakePath, work: Path) -> LakePath:
    """A small object as listed, kept on the disk from the first time on: a day has a manifest a minute.

    A copy bears its object's MD5: one of other bytes is fetched anew. All of `cache` may be deleted at any time; the
    folders last looked at stay.
    """
    if isinstance(path, Path) or path.md5 is None:
        return path
    near = work / "cache" / path.parent.name / f"{path.name}.{path.md5}"
    if near.parent.exists():
        with suppress(OSError):  # gone meanwhile, or another user's
            os.utime(near.parent)  # so that nobody makes room of what is read now
    else:
        _make_room(near.parent.parent)
    if not near.exists():
        path.store.fetch(path.key, near)
    return near


def _make_room(cache: Path) -> None:
    """Delete the folders that were looked at longest ago, for another one."""
    looked_at: list[tuple[float, Path]] = []
    for folder in cache.glob("*/"):
        with suppress(FileNotFoundError):  # another process makes room too
            looked_at.append((folder.stat().st_mtime, folder))
    for _, folder in sorted(looked_at)[: max(0, len(looked_at) - CACHED_FOLDERS + 1)]:
        shutil.rmtree(folder, ignore_errors=True)


def open_path(root: str, settings: Storage) -> LakePath:
    """The directory, or the place in a bucket, that a root names. Raises: ConfigError where it is neither."""
    match = IN_BUCKET.fullmatch(root)
    if not match:
        if not is_place(root):
            raise ConfigError(f"{root!r} names no bucket", "write it like s3://bucket/prefix")
        return Path(root).expanduser().absolute()
    try:
        from fluxforge_collector.storage.s3 import S3Store  # noqa: PLC0415  only where a bucket is named
    except ModuleNotFoundError as error:
        if error.name not in {"boto3", "botocore"}:
            raise
        raise ConfigError(f"{root} needs boto3", "install it with `pip install '.[s3]'` in the checkout") from None
    return BucketPath(S3Store(settings, match[1], match[2] or ""))


def open_store(root: str, settings: Storage) -> Store:
    """The store that a root names. Raises: ConfigError where it names none."""
    path = open_path(root, settings)
    return LocalStore(path) if isinstance(path, Path) else path.store
