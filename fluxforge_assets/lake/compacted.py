"""What a compaction did, whatever it compacted."""

from __future__ import annotations

from dataclasses import dataclass

from fluxforge_collector.config.model import Compaction

ROW_GROUP_ROWS = 16_384


@dataclass(frozen=True)
class Compacted:
    """Files and bytes of a place before and after; `what` is an asset, `partition` its date, or instrument and date."""

    what: str
    source: str
    partition: str
    rows: int
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    seconds: float


def target_bytes(options: Compaction) -> int:
    """The size from which a file is left as it is."""
    return options.target_file_mb << 20
