"""How processed rows are encoded in Parquet: one choice for the lake's parts and the files of `fluxforge compute`.

Measured in docs/why/storage-formats.md. Prices, sizes and other copies repeat from row to row: PLAIN keeps their bytes
in runs that zstd finds. Computed floats hardly repeat: splitting their bytes into streams lets LZ4, which costs half,
take what there is. Counts and times are small differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fluxforge_assets.tables import Column, Dtype, Kind

COPIES = "A"
"""The family of columns copied from books."""
REPEATED = ("exchange", "symbol", "date", "side")
"""Texts with few values."""
SMALL_ROWS = 2_000
"""Fewer rows are mostly page headers, which nothing makes smaller: they are written in half the time without zstd."""


def write_options(columns: Sequence[Column], key: Sequence[str], *, rows: int | None = None) -> dict[str, Any]:
    """Options of pyarrow's Parquet writer for `rows` rows of these columns; statistics of texts and `key`."""
    texts = [column.name for column in columns if column.name in REPEATED]
    common = {
        "use_dictionary": texts,
        "write_statistics": [*dict.fromkeys((*texts, *key))],
        "data_page_version": "1.0",
    }
    if rows is not None and rows < SMALL_ROWS:
        return common | {"compression": "snappy"}
    copied = {c.name for c in columns if c.dtype is Dtype.STRING or (c.dtype is Dtype.F64 and _is_copied(c))}
    return common | {
        "compression": {c.name: "zstd" if c.name in copied else "lz4" for c in columns},
        "compression_level": dict.fromkeys(copied, 1),
        "column_encoding": {
            c.name: "BYTE_STREAM_SPLIT" if c.dtype is Dtype.F64 else "DELTA_BINARY_PACKED"
            for c in columns
            if c.name not in copied and c.dtype is not Dtype.I8
        },
    }


def _is_copied(column: Column) -> bool:
    return column.family == COPIES or column.kind is Kind.KEY
