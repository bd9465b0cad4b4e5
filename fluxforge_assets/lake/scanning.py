"""Reading the lake's Parquet files as one lazy table, wherever they stand; which files is the caller's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from fluxforge_collector.storage.bucket import BucketPath, LakePath


def scan(files: Sequence[LakePath], **options: Any) -> pl.LazyFrame:
    """The rows of at least one file, in the order of the files; columns are those of the first."""
    first = files[0]
    if isinstance(first, BucketPath):
        options["storage_options"] = first.store.scan_options()
    return pl.scan_parquet([str(file) for file in files], hive_partitioning=False, **options)
