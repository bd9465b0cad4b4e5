"""Parts: the files of a processed partition, their names, their rows on disk and what they say of their making.

A part `part-{from_us}-{to_us}-{digest}.parquet` holds the rows of `[from_us, to_us)`: buckets and bars that begin and
end within it, trades and tickers captured within it. The digest is of the file's bytes, so one name is one content;
one that compaction made of several ends in `-merged.parquet`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fluxforge_assets.lake.encoding import write_options
from fluxforge_assets.lake.replacing import files_of
from fluxforge_assets.tables import Column, Dtype
from fluxforge_collector.durable import make_directory
from fluxforge_collector.errors import DataError, StorageError
from fluxforge_collector.storage.bucket import LakePath, readable, refusal
from fluxforge_collector.storage.changes import publish

KEYS = ("exchange", "symbol", "date")
_PART = re.compile(r"part-(\d{1,19})-(\d{1,19})-([0-9a-f]{12})(-merged)?\.parquet")
_MARK = b"fluxforge"
CHECKED_VALUES = 1_000_000
MERGED_KNOWN = 4096
"""Merged parts whose makings are kept in mind: an open day's of many instruments."""
_ARROW = {
    Dtype.F64: pa.float64(),
    Dtype.U32: pa.uint32(),
    Dtype.I64: pa.int64(),
    Dtype.I8: pa.int8(),
    Dtype.STRING: pa.string(),
}


class Part(NamedTuple):
    """What a part's name says."""

    from_us: int
    to_us: int
    name: str
    is_merged: bool = False


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a part came about, kept in the file itself.

    `inputs` are those first used by this part; `count` and `digest` are of all inputs beginning before the part's end,
    so that a late one shows without reading every part. `seen_us` is the newest row of any input used; `rows` counts
    the partition's up to here, and `last_us` is the stamp of the last of them. `merged` names the parts it
    was made of.
    """

    fingerprint: str
    watermark_us: int
    inputs: tuple[str, ...] = ()
    count: int = 0
    digest: str = ""
    seen_us: int = 0
    rows: int = 0
    last_us: int = 0
    merged: tuple[str, ...] = ()


def parts_of(directory: LakePath) -> list[Part]:
    """The parts of a partition, by time; other files are no parts."""
    matches = (_PART.fullmatch(path.name) for path in files_of(directory))
    return sorted(Part(int(m[1]), int(m[2]), m[0], bool(m[4])) for m in matches if m)


def weight(directory: LakePath) -> tuple[int, int]:
    """How many parts a partition has, and their bytes."""
    sizes = [path.stat().st_size for path in files_of(directory) if _PART.fullmatch(path.name)]
    return len(sizes), sum(sizes)


def original_parts(directory: LakePath) -> list[Part]:
    """The parts of a partition as they were written first: what was made from them does not notice compaction."""
    found: list[Part] = []
    for part in parts_of(directory):
        found += _merged(directory / part.name) if part.is_merged else (part,)
    return found


@lru_cache(MERGED_KNOWN)
def _merged(path: LakePath) -> tuple[Part, ...]:
    """The parts that one was made of. A name is one content, so what it said once it says for ever."""
    matches = (_PART.fullmatch(name) for name in read_provenance(path).merged)
    return tuple(Part(int(m[1]), int(m[2]), m[0]) for m in matches if m)


def read_provenance(path: LakePath) -> Provenance:
    """How a part came about. Raises: DataError where it cannot be read, FileNotFoundError where it is gone."""
    try:
        known = json.loads((pq.read_metadata(readable(path)).metadata or {})[_MARK])
        return Provenance(**{**known, "inputs": tuple(known["inputs"]), "merged": tuple(known.get("merged", ()))})
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        if refused := refusal(error):
            raise refused from error
        raise DataError(f"part {path} cannot be read: {error}", "materialise its partition again") from error


def as_metadata(provenance: Provenance) -> dict[bytes, str]:
    """What a part's footer says of its making."""
    return {_MARK: json.dumps(asdict(provenance))}


def digest_of(names: Sequence[str]) -> str:
    """A digest of names in any order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def write_part(
    directory: LakePath,
    work: Path,
    frame: pl.DataFrame,
    columns: Sequence[Column],
    span: tuple[int, int],
    provenance: Provenance,
    key: Sequence[str],
) -> Part:
    """Write rows as a part of `directory`, whole or not at all; `work` is a hidden place on the same file system.

    Raises: DataError where the rows break the contract of their columns, StorageError where the disk refuses.
    """
    table = checked(frame, columns, key).replace_schema_metadata(as_metadata(provenance))
    options = write_options(columns, (*KEYS, *key), rows=table.num_rows)
    try:
        make_directory(work)
        hidden = work / f"part-{secrets.token_hex(8)}.tmp"
        pq.write_table(table, hidden, **options)
        with hidden.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        part = Part(*span, f"part-{span[0]}-{span[1]}-{digest}.parquet")
        publish(hidden, directory / part.name)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write a part of {directory}: {error.strerror or error}", "free space") from error
    return part


def checked(frame: pl.DataFrame, columns: Sequence[Column], key: Sequence[str]) -> pa.Table:
    """The rows as they are stored.

    Raises: DataError where columns are missing, a float is NaN or infinite, or the key is not strictly ascending.
    """
    present = set(frame.columns)
    missing = [c.name for c in columns if c.name not in present]
    if missing:
        raise DataError(f"rows lack the columns {', '.join(missing[:5])}", "report this as a defect")
    table = as_arrow(frame, columns)
    floats = [(f.name, column) for f, column in zip(table.schema, table.columns, strict=True) if f.type == pa.float64()]
    if not _are_finite([column for _, column in floats]):
        bad = [name for name, column in floats if not _are_finite([column])]
        raise DataError(f"NaN or infinity in the columns {', '.join(bad[:5])}", "report this as a defect")
    if not _is_ascending([frame[name].to_numpy() for name in key]):
        raise DataError(f"rows are not strictly ascending by {', '.join(key)}", "report this as a defect")
    return table


def _are_finite(columns: Sequence[pa.ChunkedArray]) -> bool:
    """Whether no value is NaN or infinite; looked at together, for a part has hundreds of short columns."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    step = max(1, CHECKED_VALUES // max(1, len(columns[0]))) if columns else 1
    together = (pa.concat_arrays(chunks[start : start + step]) for start in range(0, len(chunks), step))
    return all(pc.all(pc.is_finite(values), min_count=0).as_py() for values in together)


def _is_ascending(keys: Sequence[npt.NDArray[np.int64]]) -> bool:
    """Whether rows ascend by these columns, and no two are equal in all of them."""
    rises = np.zeros(max(0, len(keys[0]) - 1), bool)
    for column in reversed(keys):
        rises = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & rises)
    return bool(rises.all())


def as_arrow(frame: pl.DataFrame, columns: Sequence[Column]) -> pa.Table:
    """The declared columns as plain Arrow types that every reader knows."""
    schema = pa.schema([pa.field(c.name, _ARROW[c.dtype]) for c in columns])
    made = frame.select(schema.names).to_arrow()
    arrays = [
        column if column.type == f.type else column.cast(f.type) for column, f in zip(made.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
