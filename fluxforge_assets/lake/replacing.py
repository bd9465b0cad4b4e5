"""Replacing the files of a folder in a bucket, so that whoever lists it through us sees the old ones or the new ones.

A small object says which files come and which go. While it is pending the new ones do not count; one write of it makes
them count and the old ones not; then the old ones are deleted, and it too. A writer that died between leaves it behind,
and the next one of the folder finishes or undoes what it says. Another reader who lists the folder meanwhile sees old
and new files side by side, for as long as sending and deleting them takes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fluxforge_collector.errors import StorageError
from fluxforge_collector.storage import REPLACING
from fluxforge_collector.storage.bucket import BucketPath, LakePath
from fluxforge_collector.storage.changes import for_each

NOTE = REPLACING
KEPT = ".kept"
"""Stands in the directory of new files for an old one that stays."""
_PAGE = 1000
_ATTEMPTS = 20


class _Note(NamedTuple):
    """A replacement under way; `token` tells one from another."""

    token: str
    new: tuple[str, ...]
    old: tuple[str, ...]
    is_done: bool

    @property
    def hidden(self) -> tuple[str, ...]:
        return self.old if self.is_done else self.new


def files_of(folder: LakePath) -> list[LakePath]:
    """The files of a folder that count, in any order; without the folder none. Raises: StorageError."""
    if isinstance(folder, Path):
        try:
            return list(folder.iterdir())
        except FileNotFoundError:
            return []
    for _ in range(_ATTEMPTS):
        found = folder.store.children(folder.key).objects
        names = {entry.key.rpartition("/")[2]: BucketPath(folder.store, entry.key, entry) for entry in found}
        if NOTE not in names and len(names) < _PAGE:
            return list(names.values())
        before = _read(folder)
        found = folder.store.children(folder.key).objects
        names = {entry.key.rpartition("/")[2]: BucketPath(folder.store, entry.key, entry) for entry in found}
        if before == _read(folder) and (before is not None or NOTE not in names):
            hidden = {NOTE, *(before.hidden if before else ())}
            return [path for name, path in names.items() if name not in hidden]
    raise StorageError(f"the files of {folder} keep changing", "try again when no backfill is running")


def replace(new: Path, folder: BucketPath) -> None:
    """Make the files of a local directory those of the folder. Raises: StorageError; the folder is then as it was."""
    finish(folder)
    made = {path.name for path in new.iterdir()}
    kept = {name.removesuffix(KEPT) for name in made if name.endswith(KEPT)}
    before = {path.name for path in files_of(folder)}
    fresh = sorted(name for name in made - before if not name.endswith(KEPT))
    note = _Note(secrets.token_hex(8), tuple(fresh), tuple(sorted(before - kept - made)), is_done=False)
    _write(folder, note)
    for_each(folder, lambda name: folder.store.send(new / name, (folder / name).key), fresh)
    note = note._replace(is_done=True)
    _write(folder, note)
    _clear(folder, note)


def remove(folder: BucketPath) -> None:
    """Delete the files of a folder, all at once for whoever lists it through us."""
    finish(folder)
    note = _Note(secrets.token_hex(8), (), tuple(sorted(path.name for path in files_of(folder))), is_done=True)
    if note.old:
        _write(folder, note)
        _clear(folder, note)


def finish(folder: LakePath) -> bool:
    """Finish or undo what a writer that died was replacing; whether there was anything. Only its one writer may."""
    note = None if isinstance(folder, Path) else _read(folder)
    if note is None or isinstance(folder, Path):
        return False
    _clear(folder, note)
    return True


def _clear(folder: BucketPath, note: _Note) -> None:
    for_each(folder, lambda name: folder.store.delete((folder / name).key), note.hidden)
    folder.store.delete((folder / NOTE).key)


def _write(folder: BucketPath, note: _Note) -> None:
    (folder / NOTE).write_bytes(json.dumps(note._asdict()).encode())


def _read(folder: BucketPath) -> _Note | None:
    try:
        known = json.loads((folder / NOTE).read_bytes())
        return _Note(known["token"], _names(known["new"]), _names(known["old"]), bool(known["is_done"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{folder / NOTE} cannot be read: {error}", "see `fluxforge repair`") from error


def _names(found: Collection[str]) -> tuple[str, ...]:
    """Names of files of the folder itself: nothing else is ever deleted."""
    if any(not isinstance(name, str) or "/" in name or name in {"", ".", ".."} for name in found):
        raise ValueError("it names what is no file of the folder")
    return tuple(found)
