"""Proving that a copy holds the same rows: a digest of every column's values, and the order of the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Key = tuple[int, ...]


class ColumnDigests:
    """SHA-256 of each column's values in order, however they are cut into tables.

    Nulls, list lengths and values are digested apart: dictionaries, offsets and what lies under a null do not count.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._hashes: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<ColumnDigests of {self.rows} rows, {len(self._hashes)} streams>"

    def update(self, table: pa.Table) -> None:
        """Take in further rows."""
        self.rows += table.num_rows
        for name in table.column_names:
            for chunk in table[name].chunks:
                self._feed(name, chunk)

    def values(self) -> dict[str, str]:
        """The digests so far, by column."""
        return {name: known.hexdigest() for name, known in sorted(self._hashes.items())}

    def _feed(self, name: str, values: pa.Array) -> None:
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        self._add(f"{name} null", pc.is_null(values).cast(pa.uint8()))
        if pa.types.is_list(values.type):
            self._add(f"{name} length", pc.fill_null(pc.list_value_length(values), 0))
            self._feed(f"{name} element", values.flatten())
        elif pa.types.is_struct(values.type):
            for field, child in zip(values.type, values.flatten(), strict=True):
                self._feed(f"{name}.{field.name}", child)
        elif pa.types.is_string(values.type):
            self._add(f"{name} length", pc.fill_null(pc.binary_length(values), 0))
            self._hash(f"{name} text").update(_text(values))
        else:
            self._add(name, values.fill_null(pa.scalar(0).cast(values.type)) if values.null_count else values)

    def _add(self, name: str, values: pa.Array) -> None:
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        elif pa.types.is_timestamp(values.type):
            values = values.cast(pa.int64())
        self._hash(name).update(np.ascontiguousarray(values.to_numpy(zero_copy_only=False)))

    def _hash(self, name: str) -> Any:
        return self._hashes.setdefault(name, hashlib.sha256())


def _text(values: pa.Array) -> bytes | memoryview:
    """The bytes of all strings, one after another."""
    dense = values.drop_null()
    if not len(dense):
        return b""
    _, offsets, data = dense.buffers()
    bounds = np.frombuffer(offsets, np.int32)[dense.offset : dense.offset + len(dense) + 1]
    return memoryview(data)[bounds[0] : bounds[-1]] if data is not None else b""


def last_key(table: pa.Table, keys: Sequence[str]) -> Key:
    """The key of the last row."""
    return _key(table, keys, -1)


def first_key(table: pa.Table, keys: Sequence[str]) -> Key:
    """The key of the first row."""
    return _key(table, keys, 0)


def _key(table: pa.Table, keys: Sequence[str], row: int) -> Key:
    rows = table.slice(table.num_rows - 1 if row else 0, 1)
    return tuple(rows[name].cast(pa.int64())[0].as_py() for name in keys)


def is_ascending(table: pa.Table, keys: Sequence[str], after: Key | None, *, is_strict: bool) -> bool:
    """Whether rows ascend by their integer keys, the first one from `after` on; `is_strict` forbids equal keys."""
    if not table.num_rows:
        return True
    columns = [table[name].cast(pa.int64()).to_numpy() for name in keys]
    rises, ties = np.zeros(table.num_rows - 1, bool), np.ones(table.num_rows - 1, bool)
    for column in columns:
        rises |= ties & (column[:-1] < column[1:])
        ties &= column[:-1] == column[1:]
    first = tuple(int(column[0]) for column in columns)
    if after is not None and (first < after or (is_strict and first == after)):
        return False
    return bool(np.all(rises if is_strict else rises | ties))
