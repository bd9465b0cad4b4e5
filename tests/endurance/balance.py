"""The balance of a run: `support.account` over a truth file and a whole lake, an instrument at a time, so hours fit."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args, get_type_hints

import orjson
import polars as pl
from support.account import CHANNELS, NOTHING, gaps_of, kept_of, sent_of, settle

from fluxforge_collector.segments.manifest import read_manifest, verify
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.sequence import is_proven
from fluxforge_collector.simulator.truth import FrameTruth

_TYPES = {int: pl.Int64, str: pl.String, bool: pl.Boolean}


@dataclass
class Balance:
    """What became of the states sent; `wrong` is empty where every one is accounted for.

    `kept` are in bronze, `in_gaps` were lost inside a gap row, `unseen` were never put on the wire, on a channel whose
    exchange gives no means to notice it.
    """

    sent: int
    kept: int
    in_gaps: int
    unseen: int
    gap_rows: int
    segments: int
    wrong_count: int
    wrong: list[str] = field(default_factory=list)

    def to_dict(self):
        """Plain values for JSON."""
        return asdict(self)


def balance(truth_file: Path, root: Path, *, flush_s: float, source: str = "ccxt") -> Balance:
    """Compare what was sent with what was kept. Raises: ManifestError where a segment cannot be believed."""
    paths = SourcePaths(root, source)
    manifests = sorted(paths.ready_dir.glob("segment_*.json"))
    for manifest in manifests:
        verify(read_manifest(manifest), paths.ready_dir)
    ledger, ordered, account = gaps_of(root, source), _ordered(truth_file), NOTHING
    for instrument, frames in _frames(truth_file):
        exchange = instrument[0]
        sent, kept = sent_of(frames, {}), kept_of(root, source, instrument=instrument)
        for channel in CHANNELS:
            stream = (*instrument, channel)
            part = settle(
                sent.get(stream, []),
                kept.get(stream, []),
                ledger.get(stream, []),
                [wall_us for wall_us, struck in ordered if struck in {None, exchange}],
                proven=is_proven(exchange, channel),
                flush_us=round(flush_s * 1e6),
            )
            account += part._replace(wrong=[f"{' '.join(stream)}: {what}" for what in part.wrong])
    return Balance(*account[:4], account.gaps, len(manifests), len(account.wrong), account.wrong[:50])


def _frames(file: Path):
    """The frames of the truth, by exchange and symbol."""
    names = FrameTruth._fields
    hints = get_type_hints(FrameTruth)
    kinds = {
        name: next(_TYPES[kind] for kind in (*get_args(hints[name]), hints[name]) if kind in _TYPES) for name in names
    }
    frames = pl.scan_ndjson(file, schema=kinds, ignore_errors=True).filter(pl.col("channel").is_in(CHANNELS))
    for instrument, part in frames.collect(engine="streaming").group_by("exchange", "symbol"):
        yield instrument, map(FrameTruth._make, part.select(names).iter_rows())


def _ordered(file: Path):
    """When faults were ordered, and which exchange they struck: a restart strikes all."""
    with file.open("rb") as lines:
        steps = [orjson.loads(line) for line in lines if b'"ordered":' in line]
    faults = [(step["wall_us"], step["ordered"]) for step in steps]
    return [(wall_us, None if fault["kind"] == "restart" else fault["exchange"]) for wall_us, fault in faults]
