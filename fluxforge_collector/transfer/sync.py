"""Making one store hold what another does: each file compared by size and checksum, copied where it differs, verified.

A sync may end anywhere and be run again: an object is there whole or not at all, and what is there is not sent twice.
Deleting is never done unless asked for, then only after all else has succeeded.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fluxforge_collector.durable import storage_errors
from fluxforge_collector.errors import MissingError, StorageError
from fluxforge_collector.storage import Entry, Store
from fluxforge_collector.storage.local import LocalStore
from fluxforge_collector.transfer.plan import Filter, Plan, plan, segment_of

MOST_FAILURES = 20
"""After so many the rest is left for the next time: the way is broken, not the files."""


@dataclass
class Synced:
    """What a sync did, or would do: numbers of files, bytes copied, and why files failed."""

    copied: int = 0
    copied_bytes: int = 0
    same: int = 0
    gone: int = 0
    superseded: int = 0
    deleted: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether the destination holds everything the source did."""
        return not self.failed


def sync(
    source: Store,
    destination: Store,
    *,
    wanted: Filter,
    workers: int = 8,
    is_dry: bool = False,
    deletes: bool = False,
    on_start: Callable[[Plan], None] = lambda _: None,
    on_done: Callable[[Entry], None] = lambda _: None,
) -> Synced:
    """Copy what differs; `deletes` removes parts the source has replaced. `is_dry` only compares.

    Raises: StorageError where either store cannot be listed, or one lies in the other; files that fail are told of, and
    do not stop the rest.
    """
    began = time.monotonic()
    _check_apart(source, destination)
    there = {entry.key: entry for entry in destination.list()}
    todo = plan(source.list(), there, wanted)
    on_start(todo)
    done = Synced(superseded=len(todo.superseded))
    with ThreadPoolExecutor(workers) as pool:
        for entries in (todo.files, todo.manifests):
            broken = {segment_of(key) for key in done.failed}
            ready = (e for e in entries if (segment := segment_of(e.key)) is None or segment not in broken)
            _carry(
                pool, workers, ready, lambda e: _bring(source, destination, e, there.get(e.key), is_dry), done, on_done
            )
    if deletes and done.is_complete and not is_dry:
        for entry in todo.superseded:
            destination.delete(entry.key)
            done.deleted += 1
    done.seconds = time.monotonic() - began
    return done


def _check_apart(source: Store, destination: Store) -> None:
    """Raises: StorageError where the next sync would copy the copy too, one folder deeper each time."""
    one, other = _place(source), _place(destination)
    if one.startswith(other) or other.startswith(one):
        raise StorageError(f"{source} and {destination} lie one in the other", "name two places apart")


def _place(store: Store) -> str:
    """Where a store is, whatever way leads there."""
    return f"{store.root.resolve() if isinstance(store, LocalStore) else store}/"


def _carry(
    pool: ThreadPoolExecutor,
    workers: int,
    entries: Iterable[Entry],
    bring: Callable[[Entry], bool],
    done: Synced,
    on_done: Callable[[Entry], None],
) -> None:
    """Bring entries, few at a time, and count what became of them."""
    for entry, future in _bounded(pool, workers, entries, bring):
        try:
            if future.result():
                done.copied, done.copied_bytes = done.copied + 1, done.copied_bytes + entry.size
            else:
                done.same += 1
        except MissingError:
            done.gone += 1  # it has moved on since it was listed; the next sync finds it there
        except StorageError as error:
            done.failed[entry.key] = str(error)
            if len(done.failed) >= MOST_FAILURES:
                raise StorageError(
                    f"{len(done.failed)} files failed, {done.copied} were copied; last: {error.message}",
                    "put right what fails and run it again: it goes on where it was",
                ) from error
        on_done(entry)


def _bounded(
    pool: ThreadPoolExecutor, most: int, entries: Iterable[Entry], bring: Callable[[Entry], bool]
) -> Iterator[tuple[Entry, Future[bool]]]:
    """Entries as they are done, with no more waiting than there are workers."""
    running: dict[Future[bool], Entry] = {}
    rest = iter(entries)
    while True:
        while len(running) < 2 * most and (entry := next(rest, None)) is not None:
            running[pool.submit(bring, entry)] = entry
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future


def _bring(source: Store, destination: Store, entry: Entry, there: Entry | None, is_dry: bool) -> bool:
    """Copy an object unless it is there already; whether it was, or would be, copied."""
    if there is not None and there.size == entry.size and _is_same(source, destination, entry, there):
        return False
    if not is_dry:
        _copy(source, destination, entry.key)
    return True


def _is_same(source: Store, destination: Store, one: Entry, other: Entry) -> bool:
    """Whether two objects of one size hold the same bytes."""
    first, second = (_md5(store, entry) for store, entry in ((source, one), (destination, other)))
    if first and second:
        return first == second
    return source.checksum(one.key) == destination.checksum(other.key)


def _md5(store: Store, entry: Entry) -> str | None:
    if entry.md5 is not None or not isinstance(store, LocalStore):
        return entry.md5
    path = store.path(entry.key)
    with _still_there(path), storage_errors(f"read {path}"), path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _still_there(file: Path) -> Iterator[None]:
    """Raises: MissingError where what failed is that the file has moved on."""
    try:
        yield
    except StorageError as error:
        if file.is_file():
            raise
        raise MissingError(f"{file} is not there any more", "") from error


def _copy(source: Store, destination: Store, key: str) -> None:
    """Copy an object; both sides compare what they write or read with its checksum."""
    if isinstance(source, LocalStore):
        file = source.path(key)
        with _still_there(file):
            destination.send(file, key)
    elif isinstance(destination, LocalStore):
        source.fetch(key, destination.path(key))
    else:
        with tempfile.TemporaryDirectory() as between:
            source.fetch(key, Path(between) / "object")
            destination.send(Path(between) / "object", key)
